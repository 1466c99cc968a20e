package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/ingest"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
)

// follow takes every package through the farm and proves it with pip. Its error
// is the farm's own; what goes wrong with a package stands in its item.
func (d *demo) follow(ctx context.Context, items []*item) error {
	ctx, cancel := context.WithCancel(ctx)
	defer d.awaitProof()
	defer cancel()
	d.view.start(items)
	defer d.view.stop()
	for _, it := range items {
		d.add(ctx, it)
		d.view.changed(it)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		open, err := d.look(ctx, items)
		if err != nil || !open {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-d.broken:
			return fmt.Errorf("the farm ended: %w", errors.Join(err, errors.New("see the log with --log-level debug")))
		case p := <-d.proofs:
			d.proven(p)
		case <-tick.C:
		}
	}
}

// add asks the upstream and queues the package.
func (d *demo) add(ctx context.Context, it *item) {
	ask := ingest.Ask{Package: it.name, Newest: it.version == "", Actor: "demo", Priority: farm.PriorityOperator}
	if it.version != "" {
		ask.Versions = []string{it.version}
	}
	it.phase = phaseAsking
	d.view.changed(it)
	jobs, err := d.Ingest.Add(ctx, ask)
	switch {
	case ctx.Err() != nil: // follow says so
	case err != nil:
		it.fail(unreachable(err).Error())
	case jobs[0].State == farm.Skipped:
		it.version = jobs[0].Version
		it.fail(jobs[0].Reason)
	default:
		it.version, it.phase = jobs[0].Version, phaseQueued
	}
}

// look reads the jobs' states and moves the items on; open says that some have
// not ended.
func (d *demo) look(ctx context.Context, items []*item) (open bool, err error) {
	for _, it := range items {
		if it.inFarm() {
			if err := d.lookAt(ctx, it); err != nil {
				return false, err
			}
		}
		d.view.changed(it)
		open = open || !it.ended()
	}
	d.proveNext(ctx, items)
	return open, ctx.Err()
}

// proveNext gives one wheel to pip when nothing else is under way: how long pip
// takes is part of what the demo shows, and a build beside it would count.
func (d *demo) proveNext(ctx context.Context, items []*item) {
	if d.proving || slices.ContainsFunc(items, (*item).inFarm) {
		return
	}
	if i := slices.IndexFunc(items, func(it *item) bool { return it.phase == phaseBuilt }); i >= 0 {
		items[i].phase = phaseInstalling
		d.view.changed(items[i])
		d.prove(ctx, items[i])
	}
}

func (d *demo) lookAt(ctx context.Context, it *item) error {
	jobs, err := d.Store.Jobs(ctx, store.Selector{Package: normal(it.name), Version: it.version, Target: d.target().String()})
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return fmt.Errorf("%s %s: its job is gone", it.name, it.version)
	}
	it.job = jobs[0].ID
	switch jobs[0].State {
	case farm.Queued:
		if it.phase == phaseBuilding {
			it.phase = phaseAgain
		}
	case farm.Leased:
		it.phase = phaseBuilding
	case farm.Failed:
		return d.explain(ctx, it, jobs[0])
	case farm.Built:
		return d.built(ctx, it)
	case farm.Skipped, farm.Covered:
		it.fail(jobs[0].Reason)
	}
	return nil
}

// explain says why a build failed, with the end of its log.
func (d *demo) explain(ctx context.Context, it *item, j store.JobRow) error {
	builds, err := d.Store.BuildsOf(ctx, it.job)
	if err != nil {
		return err
	}
	var tail []string
	if len(builds) > 0 {
		tail = lastLines(builds[0].Excerpt, 8)
	}
	it.fail("does not build: "+plainly(farm.Failure{Cause: farm.Cause(j.Cause), Detail: j.Detail, Hint: j.Hint}), tail...)
	return nil
}

// lastLines are the last lines of a log, without pip's own epilogue: how it calls
// its hooks and where tells nobody why the build failed.
func lastLines(s string, n int) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := len(lines) - 1; i > 0; i-- {
		if strings.TrimSpace(lines[i]) == "error: subprocess-exited-with-error" {
			lines = lines[:i]
			break
		}
	}
	return lines[max(0, len(lines)-n):]
}

// built notes the wheel; pip's turn comes.
func (d *demo) built(ctx context.Context, it *item) error {
	page, err := d.Store.Page(ctx, normal(it.name))
	if err != nil {
		return err
	}
	for _, w := range page.Wheels {
		if w.Version == it.version {
			it.wheel, it.sha256 = w.Filename, w.SHA256
		}
	}
	builds, err := d.Store.BuildsOf(ctx, it.job)
	if err != nil {
		return err
	}
	it.build = builds[0].Seconds
	it.phase = phaseBuilt
	if unexpectedlyPure(it) {
		it.fail(it.wheel + " is a pure wheel, but " + it.name + " has a C extension: is there no compiler?")
	}
	return nil
}

// unexpectedlyPure knows the default package whose build quietly leaves its C
// extension out when the compiler does not work. It must not pass as proven.
func unexpectedlyPure(it *item) bool {
	w, err := pep.ParseWheelName(it.wheel)
	return err == nil && normal(it.name) == "markupsafe" && w.PlatformTag == "any"
}
