package pypi

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// errPage is an answer that is no JSON at all, as opposed to broken JSON.
var errPage = errors.New("an HTML page where JSON was promised")

// jsonReader takes a long JSON answer apart as it comes, so that what is held is what came out of it.
type jsonReader struct {
	d     *json.Decoder
	meter *meter
}

// readJSON reads an answer that is one object: visit gets each key and must take the value. What the answer is
// called in errors is what.
func readJSON(r io.Reader, what string, visit func(j *jsonReader, key string) error) error {
	m := newMeter(r)
	b := bufio.NewReaderSize(m, 32<<10)
	j := &jsonReader{d: json.NewDecoder(b), meter: m}
	err := begin(b)
	if err == nil {
		err = j.object(func(key string) error { return visit(j, key) })
	}
	if err == nil {
		if _, more := j.d.Token(); more != io.EOF {
			return troubled(NotJSON, "there is more behind the JSON of %s", what)
		}
	}
	var known *trouble
	var syntax *json.SyntaxError
	var odd *json.UnmarshalTypeError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return troubled(Truncated, "the JSON of %s is cut off", what)
	case errors.As(err, &syntax):
		return troubled(NotJSON, "not the JSON of %s: %w", what, err)
	case errors.As(err, &odd):
		return troubled(NotIndex, "not the JSON of %s: %w", what, err)
	}
	return err
}

// begin passes over blanks, which the decoder would keep and look through again and again, to the first sign.
func begin(b *bufio.Reader) error {
	for {
		sign, err := b.ReadByte()
		switch {
		case err != nil:
			return err
		case sign == '<':
			return troubled(NotJSON, "%w", errPage)
		case !strings.ContainsRune(" \t\r\n", rune(sign)):
			return b.UnreadByte()
		}
	}
}

// object visits the keys of an object.
func (j *jsonReader) object(visit func(key string) error) error {
	if err := j.delim('{'); err != nil {
		return err
	}
	for j.d.More() {
		t, err := j.d.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string) // the decoder lets nothing else be a key
		if err := visit(key); err != nil {
			return err
		}
		j.meter.next()
	}
	return j.delim('}')
}

// array visits the places of an array; visit must take the value there.
func (j *jsonReader) array(visit func() error) error {
	if err := j.delim('['); err != nil {
		return err
	}
	for j.d.More() {
		if err := visit(); err != nil {
			return err
		}
		j.meter.next()
	}
	return j.delim(']')
}

// take decodes a value; ok is false if it has another shape, which costs that value only.
func (j *jsonReader) take(v any) (ok bool, err error) {
	var odd *json.UnmarshalTypeError
	if err = j.d.Decode(v); errors.As(err, &odd) {
		return false, nil
	}
	return err == nil, err
}

// must decodes a value without which the rest is worth nothing.
func (j *jsonReader) must(v any) error { return j.d.Decode(v) }

// delim takes one bracket or brace.
func (j *jsonReader) delim(want json.Delim) error {
	t, err := j.d.Token()
	if err != nil {
		return err
	}
	if t != want {
		return troubled(NotIndex, "not an index page: in its JSON, %v where %v should be", t, want)
	}
	return nil
}

// skip passes over a value that we have no use for, however long.
func (j *jsonReader) skip() error {
	for depth := 0; ; {
		t, err := j.d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if j.meter.next(); depth == 0 {
			return nil
		}
	}
}
