package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/store"
	"pinwheel/internal/storetest"
)

// byHand brings about what ingest, slaves and collect would, by the same calls of
// store and depot, without upstream and build.
type byHand struct {
	testing.TB
	store  *store.Store
	depot  *depot.Local
	target farm.Target
}

// queue makes a job per version, the first one oldest.
func (h byHand) queue(name string, versions ...string) {
	h.Helper()
	var releases []store.ReleaseFacts
	for i, v := range versions {
		// With an sdist, or the master's plan would skip it.
		sdist := farm.Sdist{Filename: name + "-" + v + ".tar.gz", URL: "http://index.example/" + name, SHA256: "abc", Size: 7}
		releases = append(releases, store.ReleaseFacts{Version: v, Raw: v, Released: time.Unix(int64(1e9+i), 0), Sdist: sdist})
	}
	storetest.Release(h, h.store, name, h.target, releases...)
}

// lease gives the slave the first job of the queue.
func (h byHand) lease(slave, request string) farm.Lease {
	h.Helper()
	row, err := h.store.Slave(h.Context(), slave)
	h.must(err)
	targets, err := h.store.Targets(h.Context())
	h.must(err)
	lease, ok, err := h.store.Claim(h.Context(), store.ClaimRequest{
		Slave: row.ID, Request: request, Token: request, Targets: []int64{targets[0].ID}, Length: time.Hour})
	h.must(err)
	if !ok {
		h.Fatalf("there is no job for %s", slave)
	}
	return lease
}

// built queues a release and takes it through a build, up to its row. Without a
// log there is none.
func (h byHand) built(name, version, log string) store.BuildRow {
	h.Helper()
	slave, lease := h.begun(name, version)
	filename, content := farmtest.Wheel(h, name, version, "py3-none-any", []byte(name))
	meta := []byte("Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n")
	sum := sha256.Sum256(meta)
	e := store.Ending{Slave: slave.ID, Token: lease.Token}
	if log != "" {
		e.Log = h.put("log", []byte(log))
	}
	_, err := h.store.FinishBuilt(h.Context(), e, store.NewWheel{File: h.put(filename, content), Tags: []string{"py3-none-any"},
		MetadataSHA256: hex.EncodeToString(sum[:]), Metadata: meta})
	h.must(err)
	row, err := h.store.Build(h.Context(), lease.Build)
	h.must(err)
	return row
}

// begun queues a release and gives it to the maker, which is enrolled for that.
func (h byHand) begun(name, version string) (store.SlaveRow, farm.Lease) {
	h.Helper()
	h.queue(name, version)
	slave, err := h.store.Slave(h.Context(), "maker")
	if errors.Is(err, farm.ErrNotFound) {
		h.must(h.store.EnrollSlave(h.Context(), "maker", farm.RoleSlave, "key of the maker", "test"))
		slave, err = h.store.Slave(h.Context(), "maker")
	}
	h.must(err)
	lease := h.lease("maker", name+version)
	if lease.Package != name {
		h.Fatalf("claimed %s, want %s", lease.Package, name)
	}
	return slave, lease
}

// failed queues a release and has it fail, with a log of one line.
func (h byHand) failed(name, version string, f farm.Failure) store.BuildRow {
	h.Helper()
	slave, lease := h.begun(name, version)
	line := "fatal error: " + f.Detail
	_, err := h.store.FinishFailed(h.Context(), store.Ending{Slave: slave.ID, Token: lease.Token, Failure: f, Excerpt: line,
		Log: h.put("log", []byte(line+"\n"))})
	h.must(err)
	row, err := h.store.Build(h.Context(), lease.Build)
	h.must(err)
	return row
}

func (h byHand) put(name string, content []byte) farm.File {
	h.Helper()
	sum := sha256.Sum256(content)
	file := farm.File{Name: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))}
	h.must(h.depot.Put(h.Context(), bytes.NewReader(content), file))
	return file
}

func (h byHand) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}
