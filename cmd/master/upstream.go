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
		return "", fmt.Errorf("this farm follows %s, not %s; start serve with another --upstream, and --move-from, to change that",
			config.Hide(followed), config.Hide(set.Upstream))
	}
	return followed, nil
}

// sameUpstream refuses to follow another index than before unless that is meant: a
// mistyped URL, or another setting of pip's, would take down all that the other index
// lacks. The follower refuses it too (store.Store.Follows); here it is said at once.
func (m *Master) sameUpstream(ctx context.Context) error {
	former, err := m.Store.Settled(ctx, store.FollowsSetting)
	if err != nil || former == "" || former == indexName(m.Upstream) || former == indexName(m.Settings.MoveFrom) {
		return err
	}
	return fmt.Errorf("this farm follows %s, not %s, and what that one lacks would be taken down: name the former with --upstream, or, if that is meant, with --move-from",
		former, indexName(m.Upstream))
}

// notAdded is the error of an add, with the remedy if the upstream does not answer:
// another one can be named only until the farm follows one.
func notAdded(ctx context.Context, st *store.Store, err error) error {
	followed, unread := st.Settled(ctx, store.UpstreamSetting)
	if !errors.Is(err, pypi.ErrUnavailable) || unread == nil && followed == "" {
		return unreachable(err)
	}
	return fmt.Errorf("%w; is the network there? Nothing is changed: add it again when the upstream answers", err)
}

// unreachable adds the remedy to the error of an upstream that does not answer, where
// none is followed yet.
func unreachable(err error) error {
	if errors.Is(err, pypi.ErrUnavailable) {
		return fmt.Errorf("%w; is the network there? --upstream names another index", err)
	}
	return err
}
