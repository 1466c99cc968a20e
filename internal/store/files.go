package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// NamedFile is a file of the depot that a row names.
type NamedFile struct {
	SHA256 string
	Size   int64  // bytes
	Wheel  string // file name; empty: it is a log
	Build  int64  // that brought it; of a withdrawn wheel it is gone
}

const namedFiles = `
select sha256 collate "C" as sha256, size, filename, build_id from wheels where %[1]s
union all
select sha256, size, filename, build_id from withdrawn where %[1]s
union all
select log_sha256, log_size, '', id from builds where log_sha256 <> '' and %[2]s`

// NamedFiles lists the files whose SHA-256 begins with a hexadecimal digit, in
// order of the hashes, one row for each hash: a sixteenth of all, so that neither
// the memory that they take nor the snapshot that they are read under is large.
func (s *Store) NamedFiles(ctx context.Context, digit string) ([]NamedFile, error) {
	q := `select distinct on (sha256) * from (` +
		fmt.Sprintf(namedFiles, `left(sha256, 1) = $1`, `left(log_sha256, 1) = $1`) +
		`) f order by sha256, filename desc -- a wheel says more than a log`
	return s.namedFiles(ctx, q, digit)
}

// StillNamed is NamedFiles for some hashes, in no order: what was listed a while
// ago may have changed.
func (s *Store) StillNamed(ctx context.Context, hashes []string) ([]NamedFile, error) {
	return s.namedFiles(ctx, fmt.Sprintf(namedFiles, `sha256 = any($1)`, `log_sha256 = any($1)`), hashes)
}

func (s *Store) namedFiles(ctx context.Context, q string, arg any) ([]NamedFile, error) {
	rows, err := s.pool.Query(ctx, q, arg)
	if err != nil {
		return nil, fmt.Errorf("list the files that rows name: %w", translate(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[NamedFile])
	if err != nil {
		return nil, fmt.Errorf("list the files that rows name: %w", translate(err))
	}
	return out, nil
}
