package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// buildRecords is made of rows that never change once they are there.
const buildRecords = `
select ` + recordColumns + ofBuilds

const recordColumns = `p.name, r.version, t.name, s.name, b.id, w.filename, w.sha256, w.size, coalesce(b.record, '{}')`

const ofBuilds = `
from wheels w
join builds b on b.id = w.build_id
join jobs j on j.id = b.job_id
join targets t on t.id = j.target_id
join slaves s on s.id = b.slave_id
join releases r on r.id = w.release_id
join packages p on p.id = r.package_id `

// recordOf is where recordColumns are scanned to.
func recordOf(b *farm.BuildRecord) []any {
	return []any{&b.Package, &b.Version, &b.Target, &b.Slave, &b.Build, &b.Wheel.Name, &b.Wheel.SHA256, &b.Wheel.Size, &b.Record}
}

func scanBuildRecord(row pgx.CollectableRow) (farm.BuildRecord, error) {
	b := farm.BuildRecord{Schema: 1}
	return b, row.Scan(recordOf(&b)...)
}

// BuildRecord reads how a published wheel was made; farm.ErrNotFound if there is no
// such wheel.
func (s *Store) BuildRecord(ctx context.Context, filename string) (farm.BuildRecord, error) {
	rows, err := s.pool.Query(ctx, buildRecords+`where w.filename = $1`, filename)
	var b farm.BuildRecord
	if err == nil {
		b, err = pgx.CollectExactlyOneRow(rows, scanBuildRecord)
	}
	if err != nil {
		return farm.BuildRecord{}, fmt.Errorf("read how %s was made: %w", filename, translate(err))
	}
	return b, nil
}

// addBuildRecords gives the wheels of a project's page theirs.
func addBuildRecords(ctx context.Context, tx pgx.Tx, p *Page) error {
	rows, err := tx.Query(ctx, buildRecords+`where p.name = $1`, p.Package)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, scanBuildRecord)
	if err != nil {
		return err
	}
	p.attach(found)
	return nil
}

// news gives METADATA and build record of those wheels of projects that were published
// within the last minute, by file name: their files are about to be written for the first
// time, and one question for all of them costs what one for each wheel does. Of the others
// both are on the site already, and many.
func (s *Store) news(ctx context.Context, names []string) (map[string]WheelRow, error) {
	const q = `
select w.metadata, ` + recordColumns + ofBuilds + `
where p.name = any($1) and w.published_at > now() - interval '1 minute'`
	rows, err := s.pool.Query(ctx, q, names)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (WheelRow, error) {
		w := WheelRow{Record: &farm.BuildRecord{Schema: 1}}
		return w, row.Scan(append([]any{&w.Metadata}, recordOf(w.Record)...)...)
	})
	out := make(map[string]WheelRow, len(list))
	for _, w := range list {
		out[w.Record.Wheel.Name] = w
	}
	return out, err
}

// attach gives each wheel its record: a page may have ten thousand.
func (p *Page) attach(records []farm.BuildRecord) {
	of := make(map[string]*farm.BuildRecord, len(records))
	for i := range records {
		of[records[i].Wheel.Name] = &records[i]
	}
	for i := range p.Wheels {
		p.Wheels[i].Record = of[p.Wheels[i].Filename]
	}
}
