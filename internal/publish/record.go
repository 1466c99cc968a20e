package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"pinwheel/internal/atomicfile"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// recordSuffix comes after a wheel's name: how it was made. It is short, since a file
// name has an end.
const recordSuffix = ".build.json"

// placeRecord puts the build record of a wheel beside it. One that is there is the
// right one: the rows that it is made of do not change, and files appear whole.
func (p *Publisher) placeRecord(ctx context.Context, dir *atomicfile.Folder, w store.WheelRow) error {
	name := w.Filename + recordSuffix
	if there := dir.Look(name); there != nil && there.Size() > 0 {
		return nil
	}
	record := w.Record
	if record == nil {
		read, err := p.cfg.Store.BuildRecord(ctx, w.Filename)
		if err != nil {
			return err
		}
		record = &read
	}
	body, err := recordFile(record)
	if err != nil {
		return fmt.Errorf("write how %s was made: %w", w.Filename, err)
	}
	return dir.Write(name, body, 0o644)
}

// replaceRecord writes one that is there again: its bytes may be others.
func replaceRecord(dir *atomicfile.Folder, w store.WheelRow) error {
	if _, err := os.Lstat(dir.Path(w.Filename + recordSuffix)); errors.Is(err, fs.ErrNotExist) {
		return nil // it is placed with the page
	}
	body, err := recordFile(w.Record)
	if err != nil {
		return err
	}
	return dir.Write(w.Filename+recordSuffix, body, 0o644)
}

func recordFile(r *farm.BuildRecord) ([]byte, error) {
	if r == nil {
		return nil, errors.New("its build record was not read")
	}
	body, err := json.MarshalIndent(r, "", "  ")
	return append(body, '\n'), err
}
