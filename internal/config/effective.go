package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// Setting is one setting as it holds, and why.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`  // secrets hidden
	Source string `json:"source"` // FromFlag, FromVariable, FromFile or FromDefault
	Place  string `json:"place"`  // "--listen", "PINWHEEL_LISTEN", "master.toml:3", or empty
	Note   string `json:"note"`   // in words: what an empty value means
}

// Effective lists the settings of the structs behind pointers that were bound to flags, after Settle
// and after whatever the program derives. Secrets are hidden.
func Effective(flags *pflag.FlagSet, settings ...any) []Setting {
	var list []Setting
	for _, s := range settings {
		for _, f := range fields(s) {
			row := Setting{Key: f.key, Value: hide(f.text()), Source: FromDefault}
			if flag := flags.Lookup(f.key); flag != nil && len(flag.Annotations[origin]) == 2 {
				row.Source, row.Place = flag.Annotations[origin][0], flag.Annotations[origin][1]
			}
			if row.Value == "" {
				row.Note = f.empty
			}
			list = append(list, row)
		}
	}
	return list
}

// text is a value as its flag would take it.
func (f field) text() string {
	v := f.value
	if !v.CanAddr() { // the settings were handed over as a copy
		v = reflect.New(f.value.Type()).Elem()
		v.Set(f.value)
	}
	if s, ok := v.Addr().Interface().(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprint(f.value.Interface())
}

// File is the settings file that was read, or empty.
func File(flags *pflag.FlagSet) string {
	f := flags.Lookup(fileFlag)
	if f == nil || len(f.Annotations[origin]) != 2 || f.Annotations[origin][0] != FromFile {
		return ""
	}
	return f.Annotations[origin][1]
}

// Markdown is the table of settings for the manual.
func Markdown(settings ...any) string {
	var b strings.Builder
	b.WriteString("| key | default | meaning |\n|---|---|---|\n")
	for _, s := range settings {
		for _, f := range fields(s) {
			value := f.empty
			if f.fallback != "" {
				value = "`" + f.fallback + "`"
			}
			help := strings.NewReplacer("<", "`", ">", "`").Replace(f.help)
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.key, value, help)
		}
	}
	return b.String()
}
