package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// The tags of a settings struct. A field without a key is no setting.
//
//	key:"listen"      the flag, the variable (PINWHEEL_LISTEN) and the key of the file
//	help:"…"          the manual; <URL> in it names the kind of value
//	default:"…"       the value if nobody says otherwise
//	empty:"…"         in words: what holds while the value is empty
const (
	tagKey     = "key"
	tagHelp    = "help"
	tagDefault = "default"
	tagEmpty   = "empty"
)

// field is one setting of a struct.
type field struct {
	key, help, fallback, empty string
	value                      reflect.Value
}

// fields lists the settings of a struct or of a pointer to one.
func fields(settings any) []field {
	v := reflect.Indirect(reflect.ValueOf(settings))
	var list []field
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		if key := tag.Get(tagKey); key != "" {
			list = append(list, field{
				key: key, help: tag.Get(tagHelp), fallback: tag.Get(tagDefault), empty: tag.Get(tagEmpty),
				value: v.Field(i),
			})
		}
	}
	return list
}

func keys(settings any) []string {
	var list []string
	for _, f := range fields(settings) {
		list = append(list, f.key)
	}
	return list
}

// Bind makes a flag of each setting of the struct behind target, or of those
// with the given keys only. The value of a field, else its default tag, is the
// flag's default. It panics on a key or a type that there is not, which only a
// programmer can bring about.
func Bind(flags *pflag.FlagSet, target any, only ...string) {
	known := keys(target)
	for _, key := range only {
		if !slices.Contains(known, key) {
			panic(fmt.Sprintf("bind %T: no field has the key %q", target, key))
		}
	}
	for _, f := range fields(target) {
		if len(only) == 0 || slices.Contains(only, f.key) {
			f.bind(flags)
			annotate(flags.Lookup(f.key), isSetting, f.key)
		}
	}
}

func (f field) bind(flags *pflag.FlagSet) {
	preset := f.value.IsZero() && f.fallback != ""
	switch p := f.value.Addr().Interface().(type) {
	case *string:
		flags.StringVar(p, f.key, *p, f.usage())
	case *int:
		flags.IntVar(p, f.key, *p, f.usage())
	case *bool:
		flags.BoolVar(p, f.key, *p, f.usage())
	case *time.Duration:
		flags.DurationVar(p, f.key, *p, f.usage())
	case pflag.Value:
		flags.Var(p, f.key, f.usage())
	default:
		panic(fmt.Sprintf("bind %s: a setting cannot be a %s", f.key, f.value.Type()))
	}
	if !preset {
		return
	}
	flag := flags.Lookup(f.key)
	if err := flag.Value.Set(f.fallback); err != nil {
		panic(fmt.Sprintf("bind %s: its default: %v", f.key, err))
	}
	flag.DefValue = flag.Value.String()
}

// usage is a flag's line of help; pflag wants the kind of value in backquotes,
// which a struct tag cannot hold.
func (f field) usage() string {
	text := strings.NewReplacer("<", "`", ">", "`").Replace(f.help)
	if f.empty != "" && f.fallback == "" && f.value.IsZero() {
		text += " (default: " + f.empty + ")"
	}
	return text
}
