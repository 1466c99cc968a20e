package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pinwheel/internal/config"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypi"
	"pinwheel/internal/store"
)

// findUpstream is the configured index, else the one that pip here uses.
func findUpstream(ctx context.Context, set settings) (string, error) {
	if set.Upstream != "" {
		return set.Upstream, nil
	}
	py, _, err := pip.Find(ctx, set.Python, proc.User{})
	if err != nil {
		return "", fmt.Errorf("which index to follow is asked of pip: %w; or name it with --upstream", err)
	}
	return pip.Upstream(ctx, py)
}

// farmsUpstream is the index that the farm's master follows: what is queued must
// be built from where it was found. Before the first serve it is what serve would
// take.
func farmsUpstream(ctx context.Context, st *store.Store, set settings) (string, error) {
	followed, err := st.Settled(ctx, store.UpstreamSetting)
	if err != nil {
		return "", err
	}
	if followed == "" {
		return findUpstream(ctx, set)
	}
	if set.Upstream != "" && strings.TrimRight(set.Upstream, "/") != strings.TrimRight(followed, "/") {
		return "", fmt.Errorf("this farm follows %s, not %s; start serve with another --upstream to change that",
			config.Hide(followed), config.Hide(set.Upstream))
	}
	return followed, nil
}

// unreachable adds the remedy to the error of an upstream that does not answer.
func unreachable(err error) error {
	if errors.Is(err, pypi.ErrUnavailable) {
		return fmt.Errorf("%w; is the network there? --upstream names another index", err)
	}
	return err
}
