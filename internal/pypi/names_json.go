package pypi

import (
	"fmt"
	"io"
)

// jsonName is one entry of the list (PEP 691).
type jsonName struct {
	Name   string `json:"name"`
	Serial serial `json:"_last-serial"`
}

// json reads the list in PEP 691's form. What it says of itself may stand behind the names.
func (l *listing) json(body io.Reader) error {
	var meta jsonMeta
	listed := false
	err := readJSON(body, "a list of names", func(j *jsonReader, key string) error {
		switch key {
		case "meta":
			return j.must(&meta)
		case "projects":
			listed = true
			return j.array(func() error { return l.entry(j) })
		}
		return j.skip()
	})
	switch {
	case isKind(err, Truncated): // the next time it may be whole, and what was visited is not visited again by us
		return &trouble{kind: Truncated, cause: fmt.Errorf("%w after %d names", err, l.info.Count), grade: later}
	case err != nil:
		return err
	case !listed:
		return troubled(NotIndex, "not a list of names: JSON without projects")
	}
	if meta.LastSerial > 0 {
		l.info.Serial = int64(meta.LastSerial)
	}
	return checkVersion(meta.APIVersion)
}

func (l *listing) entry(j *jsonReader) error {
	var p jsonName
	ok, err := j.take(&p)
	switch {
	case err != nil:
		return err
	case !ok:
		l.info.LeftOut++
		return nil
	}
	return l.add(p.Name, int64(p.Serial))
}
