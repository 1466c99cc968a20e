package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Supervisor is systemd, or whoever else started this program and wants to hear how it
// is (sd_notify(3)). The nil Supervisor wants to hear nothing.
type Supervisor struct {
	socket string
	every  time.Duration // between two signs of life; 0: none are wanted
	log    zerolog.Logger
}

// Supervised finds it by the variables NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID;
// nil: there is none. They are taken away, so that nothing that this program starts
// speaks for it.
func Supervised(log zerolog.Logger) *Supervisor {
	s := supervised(os.Getenv, log)
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	return s
}

func supervised(getenv func(string) string, log zerolog.Logger) *Supervisor {
	s := &Supervisor{socket: getenv("NOTIFY_SOCKET"), log: log}
	if s.socket == "" {
		return nil
	}
	if pid := getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		// Twice as often as wanted, as its manual asks.
		usec, _ := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
		s.every = time.Duration(usec) * time.Microsecond / 2
	}
	return s
}

// tell sends one message. That it cannot is no reason to end: whoever does not hear
// acts on that by himself.
func (s *Supervisor) tell(message string) {
	conn, err := net.Dial("unixgram", s.socket)
	if err == nil {
		_, err = conn.Write([]byte(message))
		conn.Close()
	}
	if err != nil {
		s.log.Warn().Err(err).Msg("the supervisor does not hear us")
	}
}

// Ready says that the program has begun; status is for people.
func (s *Supervisor) Ready(status string) {
	if s != nil {
		s.tell("READY=1\nSTATUS=" + status)
	}
}

// ReadyWithin says that the program has begun when the returned function is called, or when
// the time is over: one that waits for another is told to have failed if it ends before, and
// to have begun, though it still waits, if that one is just away. It says neither once ctx has
// ended.
func (s *Supervisor) ReadyWithin(ctx context.Context, within time.Duration, waiting string) (ready func(status string)) {
	if s == nil {
		return func(string) {}
	}
	s.Status(waiting)
	var one sync.Mutex // speaks, so that what was said last is true
	begun := false
	timer := time.AfterFunc(within, func() {
		one.Lock()
		defer one.Unlock()
		if !begun && ctx.Err() == nil {
			begun = true
			s.Ready(waiting)
		}
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
	return func(status string) {
		one.Lock()
		defer one.Unlock()
		if begun {
			s.Status(status)
		} else if ctx.Err() == nil {
			begun = true
			s.Ready(status)
		}
	}
}

// Status says what the program does, for people.
func (s *Supervisor) Status(status string) {
	if s != nil {
		s.tell("STATUS=" + status)
	}
}

// Stopping says that it was told to end, and does.
func (s *Supervisor) Stopping(status string) {
	if s != nil {
		s.tell("STOPPING=1\nSTATUS=" + status)
	}
}

// Feed gives signs of life while check finds nothing, and says once what it finds. The
// supervisor then ends the program and starts it again. stop ends it and waits.
func (s *Supervisor) Feed(ctx context.Context, check func(context.Context) error) (stop func()) {
	if s == nil || s.every <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var feeding sync.WaitGroup
	feeding.Go(func() { s.feed(ctx, check) })
	return func() { cancel(); feeding.Wait() }
}

func (s *Supervisor) feed(ctx context.Context, check func(context.Context) error) {
	sick := false
	for {
		limited, cancel := context.WithTimeout(ctx, s.every)
		err := check(limited)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			s.tell("WATCHDOG=1")
			sick = false
		case !sick:
			sick = true
			s.log.Error().Err(err).Msg("no sign of life is given; whoever supervises us will start us again")
			s.tell(fmt.Sprintf("STATUS=stuck: %v", err))
		}
		if !Sleep(ctx, s.every) {
			return
		}
	}
}
