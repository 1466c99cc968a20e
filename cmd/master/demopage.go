package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"pinwheel/internal/pep"
	"pinwheel/internal/pip"
)

// pageWithin is how long publishing may take before the demo calls it broken.
const pageWithin = 30 * time.Second

// proveWithin bounds one install with its dependencies and the import: a module
// that never comes back from its import must not keep the demo for ever.
const proveWithin = 15 * time.Minute

// proof is what came of one install by pip.
type proof struct {
	it  *item
	res pip.Result
	err error
}

// prove lets pip install from the farm while follow goes on, which takes what
// comes of it from d.proofs.
func (d *demo) prove(ctx context.Context, it *item) {
	d.proving = true
	name, version, wheel := it.name, it.version, it.wheel
	go func() {
		ctx, cancel := context.WithTimeout(ctx, proveWithin)
		defer cancel()
		p := proof{it: it, err: d.awaitPage(ctx, name, wheel)}
		if p.err == nil {
			p.res, p.err = pip.Prove(ctx, pip.Proof{
				Python: d.py, User: d.user, Package: name, Version: version,
				Index: d.URL + "/simple/", Upstream: d.Upstream, Dir: d.dir,
			})
		}
		d.proofs <- p
	}()
}

// proven compares what pip took with what the farm says.
func (d *demo) proven(p proof) {
	d.proving = false
	it, res := p.it, p.res
	switch {
	case p.err != nil:
		it.fail("built, but not installed: " + p.err.Error())
	case !strings.HasPrefix(res.URL, d.URL+"/"):
		it.fail("pip took it from elsewhere: " + res.URL)
	case res.SHA256 != it.sha256:
		it.fail(fmt.Sprintf("pip took a file with SHA-256 %s, the farm published %s", res.SHA256, it.sha256))
	default:
		it.install, it.phase = res.Seconds, phaseDone
	}
	d.view.changed(it)
}

// awaitProof waits for a pip that was told to stop.
func (d *demo) awaitProof() {
	if d.proving {
		<-d.proofs
	}
}

func normal(name string) string { return pep.NormalizeName(name) }

// awaitPage asks for the wheel until the site has it: the row comes before the
// page by some milliseconds.
func (d *demo) awaitPage(ctx context.Context, name, wheel string) error {
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	url := fmt.Sprintf("%s/simple/%s/", d.URL, normal(name))
	for {
		ok, err := published(ctx, url, wheel)
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not show %s within %s: %w", url, wheel, pageWithin, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func published(ctx context.Context, url, file string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	return pageNames(resp, file)
}

// pageNames reads a simple page until it names the file.
func pageNames(resp *http.Response, file string) (bool, error) {
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("status %s", resp.Status)
	}
	sc := bufio.NewScanner(resp.Body)
	for sc.Scan() {
		if strings.Contains(sc.Text(), file) {
			return true, nil
		}
	}
	return false, sc.Err()
}
