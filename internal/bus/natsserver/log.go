package natsserver

import (
	"fmt"

	"github.com/rs/zerolog"
)

// serverLog is the server's logger. What a peer did wrong is a warning at most:
// the server copes with it, and no operator needs to look.
type serverLog struct {
	log   zerolog.Logger
	fatal chan error
}

func (l *serverLog) Debugf(format string, v ...any)  { l.log.Trace().Msgf(format, v...) }
func (l *serverLog) Tracef(format string, v ...any)  { l.log.Trace().Msgf(format, v...) }
func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug().Msgf(format, v...) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warn().Msgf(format, v...) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Warn().Msgf(format, v...) }

// Fatalf is how the server says that it cannot start. It must not end the
// program; the first message is the cause, and Start returns it.
func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default:
	}
}
