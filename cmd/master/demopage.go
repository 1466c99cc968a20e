package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"pinwheel/internal/pep"
)

// pageWithin is how long publishing may take before the demo calls it broken.
const pageWithin = 30 * time.Second

func normal(name string) string { return pep.NormalizeName(name) }

// awaitPage asks for the wheel until the site has it: the row comes before the
// page by some milliseconds.
func (d *demo) awaitPage(ctx context.Context, it *item) error {
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	url := fmt.Sprintf("%s/simple/%s/", d.URL, normal(it.name))
	for {
		ok, err := published(ctx, url, it.wheel)
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not show %s within %s: %w", url, it.wheel, pageWithin, err)
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
