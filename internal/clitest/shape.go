package clitest

import (
	"encoding/json"
	"fmt"
)

// shape replaces the values of a JSON text by what they are, so that what changes
// from run to run can be compared: names of keys stay, true, false and null stay,
// other values become "string" and 0, but for the schema's number. Equal neighbours
// in a list count as one.
func shape(text []byte) (string, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return "", fmt.Errorf("read JSON %.200q: %w", text, err)
	}
	b, err := json.MarshalIndent(abstract(v), "", "  ")
	return string(b) + "\n", err
}

func abstract(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if k != "schema" {
				v[k] = abstract(v[k])
			}
		}
	case []any:
		return distinct(v)
	case string:
		return "string"
	case float64:
		return 0
	}
	return v
}

func distinct(list []any) []any {
	out, last := []any{}, ""
	for _, v := range list {
		v = abstract(v)
		if text := fmt.Sprint(v); text != last || len(out) == 0 {
			out, last = append(out, v), text
		}
	}
	return out
}
