// Package logging makes the one root logger of a program. Levels mean: error,
// someone must look; warn, we coped; info, a state changed; debug, the rest.
// Fields are spelled the same everywhere: package version target job slave.
package logging

import (
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
)

// New writes to w: lines for people when human is set, else JSON. level is one
// of debug, info, warn, error.
func New(w io.Writer, level string, human bool) (zerolog.Logger, error) {
	l, err := parseLevel(level)
	if err != nil {
		return zerolog.Nop(), err
	}
	if human {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: true}
	}
	return zerolog.New(w).Level(l).With().Timestamp().Logger(), nil
}

// parseLevel takes the four levels that have a meaning here. zerolog's own parser
// knows more, numbers among them, and with those a farm would fall silent.
func parseLevel(s string) (zerolog.Level, error) {
	for _, l := range []zerolog.Level{zerolog.DebugLevel, zerolog.InfoLevel, zerolog.WarnLevel, zerolog.ErrorLevel} {
		if s == l.String() {
			return l, nil
		}
	}
	return zerolog.NoLevel, fmt.Errorf("log level %q: want debug, info, warn or error", s)
}
