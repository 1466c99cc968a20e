package pypi

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	maxDepth  = 24   // of elements inside one value
	maxValues = 1000 // inside one value that is not taken piece by piece
)

// rpcValue is a value of XML-RPC: nil, a number, text or a list. Of a struct the members stand in the list, each
// name before its value. Other types are text.
type rpcValue struct {
	kind  rpcKind
	text  string
	whole int64
	list  []rpcValue
}

type rpcKind int

const (
	rpcNil rpcKind = iota
	rpcInt
	rpcText
	rpcList
	rpcOdd // of a type that exists but means nothing here, or a number that is none
)

// rpcFault is an answer that says no.
type rpcFault struct {
	code int64
	text string
}

func (f *rpcFault) Error() string { return fmt.Sprintf("fault %d: %s", f.code, f.text) }

// rpcReader reads one XML-RPC answer from its beginning to its end. Nothing in it makes it hold more than one entry
// of the outermost list.
type rpcReader struct {
	xml    *xml.Decoder
	meter  *meter
	values int
}

func newRPCReader(r io.Reader) *rpcReader {
	m := newMeter(r)
	return &rpcReader{xml: xml.NewDecoder(newLegible(m)), meter: m}
}

// token is the next start, end or text; comments and instructions are passed over. Whether ends agree with starts is
// seen to by the callers, who know what they wait for: the decoder's own book-keeping costs as much as its reading.
func (r *rpcReader) token() (xml.Token, error) {
	for {
		t, err := r.xml.RawToken()
		if err != nil {
			return nil, err
		}
		switch t.(type) {
		case xml.StartElement, xml.EndElement, xml.CharData:
			return t, nil
		}
	}
}

// step is the next start (true) or end (false) of an element; only blanks may stand before it.
func (r *rpcReader) step() (name string, start bool, err error) {
	for {
		t, err := r.token()
		if err != nil {
			return "", false, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return t.Name.Local, true, nil
		case xml.EndElement:
			return t.Name.Local, false, nil
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				return "", false, fmt.Errorf("not XML-RPC: text %.40q outside of values", t)
			}
		}
	}
}

// open goes into elements, one in the other.
func (r *rpcReader) open(names ...string) error {
	for _, want := range names {
		name, start, err := r.step()
		if err != nil {
			return err
		}
		if !start || name != want {
			return fmt.Errorf("not XML-RPC: <%.40s> where <%s> should be", name, want)
		}
	}
	return nil
}

// close goes out of elements.
func (r *rpcReader) close(names ...string) error {
	for _, want := range names {
		name, start, err := r.step()
		if err != nil {
			return err
		}
		if start || name != want {
			return misplaced(name, want)
		}
	}
	return nil
}

// answer goes to where the value of an answer begins: behind its <value>. A fault is an error.
func (r *rpcReader) answer() error {
	if err := r.open("methodResponse"); err != nil {
		return err
	}
	name, start, err := r.step()
	switch {
	case err != nil:
		return err
	case start && name == "params":
		return r.open("param", "value")
	case start && name == "fault":
		return r.fault()
	}
	return fmt.Errorf("not XML-RPC: neither parameters nor a fault but <%.40s>", name)
}

// end reads on to the true end of an answer whose value has been read.
func (r *rpcReader) end() error {
	if err := r.close("param", "params", "methodResponse"); err != nil {
		return err
	}
	if _, _, err := r.step(); err != io.EOF {
		return errors.New("not XML-RPC: there is more behind the answer")
	}
	return nil
}

// misplaced is the error of one tag where the end of another should be.
func misplaced(name, want string) error {
	return fmt.Errorf("not XML-RPC: the tag %.40q where </%s> should be", name, want)
}

func (r *rpcReader) fault() error {
	if err := r.open("value"); err != nil {
		return err
	}
	v, err := r.value(0)
	if err != nil {
		return err
	}
	f := &rpcFault{}
	for i := 0; i+1 < len(v.list); i += 2 {
		switch v.list[i].text {
		case "faultCode":
			f.code = v.list[i+1].whole
		case "faultString":
			f.text = clean(v.list[i+1].text)
		}
	}
	return f
}

// each visits the entries of a list, one by one; it begins behind the list's <value>.
func (r *rpcReader) each(visit func(rpcValue) error) error {
	if err := r.open("array", "data"); err != nil {
		return err
	}
	for {
		name, start, err := r.step()
		if err != nil {
			return err
		}
		if !start && name == "data" {
			return r.close("array", "value")
		}
		if !start || name != "value" {
			return misplaced(name, "data")
		}
		r.values = 0
		v, err := r.value(0)
		if err != nil {
			return err
		}
		if err := visit(v); err != nil {
			return err
		}
		r.meter.next()
	}
}

// value reads one value, from behind <value> to behind </value>. Text without a type is a string, but for the blanks
// around a type.
func (r *rpcReader) value(depth int) (rpcValue, error) {
	if r.values++; r.values > maxValues || depth > maxDepth {
		return rpcValue{}, troubled(TooBig, "a value of the answer is too deep or holds too many others")
	}
	var text strings.Builder
	for {
		t, err := r.token()
		if err != nil {
			return rpcValue{}, err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if t.Name.Local != "value" {
				return rpcValue{}, misplaced(t.Name.Local, "value")
			}
			return rpcValue{kind: rpcText, text: text.String()}, nil
		case xml.StartElement:
			if strings.TrimSpace(text.String()) != "" {
				return rpcValue{}, fmt.Errorf("not XML-RPC: text %.40q before a type", text.String())
			}
			v, err := r.typed(t.Name.Local, depth)
			if err != nil {
				return v, err
			}
			return v, r.close("value")
		}
	}
}

// typed reads the inside of a value with a type, to behind the type's end.
func (r *rpcReader) typed(name string, depth int) (rpcValue, error) {
	switch name {
	case "array":
		return r.array(depth)
	case "struct":
		return r.members(depth)
	case "nil", "string", "int", "i1", "i2", "i4", "i8", "biginteger", "boolean", "double", "float", "base64", "dateTime.iso8601":
	default:
		return rpcValue{}, fmt.Errorf("not XML-RPC: no type is called %.40q", name)
	}
	text, err := r.content(name)
	if err != nil {
		return rpcValue{}, err
	}
	switch name {
	case "nil":
		return rpcValue{}, nil
	case "string":
		return rpcValue{kind: rpcText, text: text}, nil
	case "int", "i1", "i2", "i4", "i8", "biginteger":
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
			return rpcValue{kind: rpcInt, whole: n}, nil
		}
	}
	return rpcValue{kind: rpcOdd, text: text}, nil
}

// content is the text of an element without others in it.
func (r *rpcReader) content(of string) (string, error) {
	var text strings.Builder
	for {
		t, err := r.token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if t.Name.Local != of {
				return "", misplaced(t.Name.Local, of)
			}
			return text.String(), nil
		case xml.StartElement:
			return "", misplaced(t.Name.Local, of)
		}
	}
}

func (r *rpcReader) array(depth int) (rpcValue, error) {
	v := rpcValue{kind: rpcList}
	if err := r.open("data"); err != nil {
		return v, err
	}
	for {
		name, start, err := r.step()
		switch {
		case err != nil:
			return v, err
		case !start && name == "data":
			return v, r.close("array")
		case !start || name != "value":
			return v, misplaced(name, "data")
		}
		item, err := r.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.list = append(v.list, item)
	}
}

func (r *rpcReader) members(depth int) (rpcValue, error) {
	v := rpcValue{kind: rpcList}
	for {
		name, start, err := r.step()
		switch {
		case err != nil:
			return v, err
		case !start && name == "struct":
			return v, nil
		case !start || name != "member":
			return v, misplaced(name, "struct")
		}
		if err := r.open("name"); err != nil {
			return v, err
		}
		key, err := r.content("name")
		if err != nil {
			return v, err
		}
		if err := r.open("value"); err != nil {
			return v, err
		}
		item, err := r.value(depth + 1)
		if err != nil {
			return v, err
		}
		if err := r.close("member"); err != nil {
			return v, err
		}
		v.list = append(v.list, rpcValue{kind: rpcText, text: key}, item)
	}
}
