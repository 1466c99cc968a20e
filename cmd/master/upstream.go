package main

import (
	"context"
	"errors"
	"fmt"

	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypi"
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

// unreachable adds the remedy to the error of an upstream that does not answer.
func unreachable(err error) error {
	if errors.Is(err, pypi.ErrUnavailable) {
		return fmt.Errorf("%w; is the network there? --upstream names another index", err)
	}
	return err
}
