package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Withdrawn is a wheel whose release is gone, and which a page may still name and
// whose file is still there. Its row goes after the one and before the other, so
// that no page names what has no row, and no row names a file that is gone. Its
// name stays among the published names, for ever.
type Withdrawn struct {
	Filename string
	Package  string // normalized (PEP 503); the farm may not have it any more
	SHA256   string
}

// WithdrawnOf lists what was withdrawn from these projects. A page that is read
// after it names none of them: a published name is not used again.
func (s *Store) WithdrawnOf(ctx context.Context, names []string) ([]Withdrawn, error) {
	const q = `select filename, package, sha256 from withdrawn where package = any($1) order by filename`
	rows, err := s.pool.Query(ctx, q, names)
	if err != nil {
		return nil, fmt.Errorf("list withdrawn wheels: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Withdrawn])
	if err != nil {
		return nil, fmt.Errorf("list withdrawn wheels: %w", translate(err))
	}
	return out, nil
}

// ForgetWithdrawn deletes the rows of withdrawn wheels, which no page names any
// more. Their files may go then.
func (s *Store) ForgetWithdrawn(ctx context.Context, gone []Withdrawn) error {
	const q = `delete from withdrawn where filename = any($1)`
	if _, err := s.pool.Exec(ctx, q, pluck(gone, func(w Withdrawn) string { return w.Filename })); err != nil {
		return fmt.Errorf("forget %d withdrawn wheels: %w", len(gone), translate(err))
	}
	return nil
}

// WheelsOfBytes lists those of the hashes that a wheel has, withdrawn or not: its
// file must stay.
func (s *Store) WheelsOfBytes(ctx context.Context, hashes []string) ([]string, error) {
	const q = `
select sha256 from wheels where sha256 = any($1)
union select sha256 from withdrawn where sha256 = any($1)`
	rows, err := s.pool.Query(ctx, q, hashes)
	if err != nil {
		return nil, fmt.Errorf("look for wheels of the same bytes: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for wheels of the same bytes: %w", translate(err))
	}
	return out, nil
}
