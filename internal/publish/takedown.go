package publish

import (
	"context"
	"errors"
	"fmt"

	"pinwheel/internal/crash"
	"pinwheel/internal/store"
)

// takeDown ends what was withdrawn from a project and is gone from its page: the
// rows, then the files, in the depot and, with remove, in the project's folder.
//
// The page came first, since it must not name what has no row; the files come last,
// since no row may name one that is gone. Nobody is cut off who downloads such a
// file: it has lost its name, and lives on for those who have it open.
func (p *Publisher) takeDown(ctx context.Context, project string, gone []store.Withdrawn, remove func() error) error {
	if len(gone) == 0 {
		return remove()
	}
	if err := p.cfg.Store.ForgetWithdrawn(ctx, gone); err != nil {
		return fmt.Errorf("take down wheels of %s: %w", project, err)
	}
	// A crash here leaves files that no row names. Those of the folder go with the
	// next writing, for the page is still stale; those of the depot in an audit.
	p.at(crash.PublishForgotten, project)
	hashes := make([]string, len(gone))
	for i, w := range gone {
		hashes[i] = w.SHA256
	}
	err := p.cfg.Depot.DiscardUnnamed(hashes, func(hashes []string) ([]string, error) {
		return p.cfg.Store.WheelsOfBytes(ctx, hashes)
	})
	if err != nil {
		// The folder is what people see: it does not wait for the depot.
		return errors.Join(fmt.Errorf("take down wheels of %s: %w", project, err), remove())
	}
	p.at(crash.PublishDiscarded, project)
	return remove()
}

// withdrawnOf lists what is to be taken down, by project. It must be asked before
// the rows of the pages are.
func (p *Publisher) withdrawnOf(ctx context.Context, pages []store.StalePage) (map[string][]store.Withdrawn, error) {
	names := make([]string, len(pages))
	for i, s := range pages {
		names[i] = s.Scope
	}
	list, err := p.cfg.Store.WithdrawnOf(ctx, names)
	if err != nil {
		return nil, err
	}
	out := map[string][]store.Withdrawn{}
	for _, w := range list {
		out[w.Package] = append(out[w.Package], w)
	}
	return out, nil
}
