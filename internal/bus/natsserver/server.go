// Package natsserver is the NATS server of farms that have none of their own. It
// is apart from bus so that slaves, which never start one, do not carry it: for
// linux/arm it would be 5.5 MB of a program of 12.
//
// Input: an address and the authority whose credentials are let in. Output: a
// running server. It owns its listener and its connections, and keeps nothing on
// disk: there is no JetStream, and after a crash it starts as it did before.
//
// It never lets anyone in without credentials, whatever it listens on.
package natsserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
)

// startWithin is generous: a server is ready after 5 ms on an idle machine.
const startWithin = 30 * time.Second

// shakeWithin is for a handshake: a Pi under a build takes its time.
const shakeWithin = 10 * time.Second

// Config is the manual of Start.
type Config struct {
	Listen    string // "host:port", port 0 for any free one; empty: connections within this process only
	Authority *bus.Authority
	TLS       *tls.Config // what connections by network are to speak; nil: not TLS
	Log       zerolog.Logger
}

// Server is a NATS server within this process. Nobody gets in without
// credentials of its authority.
type Server struct {
	s        *server.Server
	accounts *server.MemAccResolver
	listen   string
}

// Start returns when the server takes connections. An address that cannot
// be had is an error that names it.
func Start(cfg Config) (*Server, error) {
	accounts := &server.MemAccResolver{}
	opts, err := serverOptions(cfg, accounts)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	log := &serverLog{log: cfg.Log, fatal: make(chan error, 1)}
	s.SetLoggerV2(log, false, false, false)
	srv := &Server{s: s, accounts: accounts, listen: cfg.Listen}
	s.Start()
	if err := srv.waitReady(log); err != nil {
		srv.Close()
		return nil, err
	}
	return srv, nil
}

func serverOptions(cfg Config, accounts *server.MemAccResolver) (*server.Options, error) {
	opts := &server.Options{
		ServerName:   "pinwheel",
		DontListen:   cfg.Listen == "",
		PingInterval: bus.PingEvery,
		MaxPingsOut:  bus.MaxPings,
		MaxPayload:   bus.MaxMessage,
		NoSigs:       true, // signals are the program's
		TLSConfig:    cfg.TLS,
		TLSTimeout:   shakeWithin.Seconds(),
	}
	if cfg.Listen != "" {
		host, port, err := splitListen(cfg.Listen)
		if err != nil {
			return nil, err
		}
		opts.Host, opts.Port = host, port
	}
	return opts, trust(opts, accounts, cfg.Authority)
}

// trust makes the server know the authority: its operator, and its accounts in
// memory.
func trust(opts *server.Options, accounts *server.MemAccResolver, a *bus.Authority) error {
	t := a.Trust()
	operator, err := jwt.DecodeOperatorClaims(t.Operator)
	if err != nil {
		return fmt.Errorf("start NATS: operator: %w", err)
	}
	for public, token := range t.Accounts {
		if err := accounts.Store(public, token); err != nil {
			return fmt.Errorf("start NATS: account %s: %w", public, err)
		}
	}
	opts.TrustedOperators = []*jwt.OperatorClaims{operator}
	opts.SystemAccount = t.SystemAccount
	opts.AccountResolver = accounts
	return nil
}

func splitListen(listen string) (string, int, error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("NATS address %q: want host:port, for example 127.0.0.1:4222", listen)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("NATS address %q: port %q: want 0 to 65535", listen, text)
	}
	if port == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(port), nil
}

// waitReady asks in short steps, because a server that cannot start tells its
// log and nobody else.
func (s *Server) waitReady(log *serverLog) error {
	for deadline := time.Now().Add(startWithin); time.Now().Before(deadline); {
		select {
		case err := <-log.fatal:
			return s.explain(err)
		default:
		}
		if s.s.ReadyForConnections(50 * time.Millisecond) {
			return nil
		}
	}
	return s.explain(fmt.Errorf("not ready after %v", startWithin))
}

// explain names the address and what to do. The server keeps the cause of a
// refused address only as words, so the address is tried once more.
func (s *Server) explain(err error) error {
	if s.listen == "" {
		return fmt.Errorf("start NATS: %w", err)
	}
	l, again := net.Listen("tcp", s.listen)
	switch {
	case again == nil:
		l.Close()
		return fmt.Errorf("start NATS on %s: %w", s.listen, err)
	case errors.Is(again, syscall.EADDRINUSE):
		return fmt.Errorf("start NATS on %s: the address is taken by another program (another master?): %w", s.listen, again)
	}
	return fmt.Errorf("start NATS on %s: %w", s.listen, again)
}

// URL is where slaves connect; empty if the server does not listen.
func (s *Server) URL() string {
	if s.listen == "" {
		return ""
	}
	return s.s.ClientURL()
}

// InProcessConn opens a connection that needs no network; Connect uses it.
func (s *Server) InProcessConn() (net.Conn, error) { return s.s.InProcessConn() }

// Close ends the server and its connections, and returns when nothing of it runs.
func (s *Server) Close() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
}
