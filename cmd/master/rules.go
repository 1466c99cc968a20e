package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
)

// readRules gives the rules by which failures are told: those of the farm's file,
// if it has one, and then the built-in ones.
func readRules(path string) (*farm.Rules, error) {
	if path == "" {
		return farm.DefaultRules(), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.Usage("read the rules of failures: %w; name another file with --rules", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, farm.MaxRules+1))
	if err != nil {
		return nil, cli.Usage("read the rules of failures: %w; name another file with --rules", err)
	}
	rules, err := farm.DefaultRules().With(path, text)
	if err != nil {
		return nil, cli.Usage("%w", err)
	}
	return rules, nil
}

// ruleBook holds the rules of a running master. A file that changes is read again
// at the next failure; one that is wrong by then is said so once, and what was read
// before goes on to hold.
type ruleBook struct {
	path string
	log  zerolog.Logger

	mu    sync.Mutex
	rules *farm.Rules
	stamp stamp
}

// stamp is by what a changed file is known.
type stamp struct {
	size int64
	at   time.Time
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.Size(), info.ModTime()}, nil
}

func openRules(path string, log zerolog.Logger) (*ruleBook, error) {
	b := &ruleBook{path: path, log: log}
	// Looked at before it is read: what changes in between is read once more.
	b.stamp, _ = stampOf(path) // reading it says what is wrong
	var err error
	b.rules, err = readRules(path)
	return b, err
}

// now are the rules that hold now.
func (b *ruleBook) now() *farm.Rules {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.path == "" {
		return b.rules
	}
	found, err := stampOf(b.path)
	if err == nil && found == b.stamp {
		return b.rules
	}
	if err != nil && b.stamp == (stamp{}) {
		return b.rules // said before
	}
	b.stamp = found
	rules, err := readRules(b.path)
	if err != nil {
		b.log.Error().Err(err).Msg("the rules of failures are as they were before")
		return b.rules
	}
	b.rules = rules
	b.log.Info().Str("file", b.path).Msg(fmt.Sprintf("rules of failures read again: %d", rules.Len()))
	return b.rules
}
