package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// buildRecords is made of rows that never change once they are there.
const buildRecords = `
select p.name, r.version, t.name, s.name, b.id, w.filename, w.sha256, w.size, coalesce(b.record, '{}')
from wheels w
join builds b on b.id = w.build_id
join jobs j on j.id = b.job_id
join targets t on t.id = j.target_id
join slaves s on s.id = b.slave_id
join releases r on r.id = w.release_id
join packages p on p.id = r.package_id `

func scanBuildRecord(row pgx.CollectableRow) (farm.BuildRecord, error) {
	b := farm.BuildRecord{Schema: 1}
	err := row.Scan(&b.Package, &b.Version, &b.Target, &b.Slave, &b.Build, &b.Wheel.Name, &b.Wheel.SHA256, &b.Wheel.Size, &b.Record)
	return b, err
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
