package main

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"pinwheel/internal/farm"
)

// TestNothingSteersATerminal: whatever packages, the upstream, slaves and people wrote,
// in no command's words for people is a character that steers a terminal, turns the
// direction of writing, or is not seen.
func TestNothingSteersATerminal(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	const hostile = "see\u202eterces\u2066 \x1b[2J\x1b]0;title\x07no\u200bthing\u2028\u00ad\U000e0041\r end"
	f.queue("demo", "1.0", "2.0", "3.0")
	f.queue("other", "1.0")
	f.wireSlave("pi").lease("r")
	f.recipe("other", farm.Recipe{Env: map[string]string{"A": "b"}})
	f.done("skip", "demo", "3.0", "--reason", "no")
	conn, err := pgx.Connect(t.Context(), f.Settings.DatabaseURL)
	f.must(err)
	defer conn.Close(t.Context())
	for _, q := range []string{
		`update packages set status_reason = $1, display = $1`,
		`update releases set yanked = true, yank_reason = $1, requires_python = $1, sdist_filename = $1`,
		`update slaves set doing = $1, paused = true, paused_why = $1`,
		`update skips set reason = $1, author = $1`,
		`update recipes set reason = $1, author = $1`,
		`update audit_trail set actor = $1, subject = $1`,
		`update builds set outcome = 'failed', ended_at = now(), cause = 'unknown', detail = $1, hint = $1, excerpt = $1`,
		`update jobs set state = 'failed', cause = 'unknown', detail = $1, hint = $1, lease_token = null, lease_slave_id = null, lease_deadline = null
		where state in ('queued', 'leased') and id % 2 = 0`,
		`update jobs set reason = $1 where state in ('skipped', 'waiting')`,
	} {
		_, err := conn.Exec(t.Context(), strings.ReplaceAll(q, "$1", "'"+strings.ReplaceAll(hostile, "'", "''")+"'"))
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	said := 0
	for _, args := range [][]string{
		{"failures"}, {"queue"}, {"status"}, {"history"}, {"slaves"}, {"recipe", "list"}, {"recipe", "list", "other"}, {"target", "list"},
		{"why", "demo"}, {"why", "demo", "1.0"}, {"why", "demo", "2.0"}, {"why", "demo", "3.0"}, {"why", "other", "1.0"},
		{"requeue", "--failed", "--dry-run"}, {"requeue", "--failed"}, {"log", "demo"}, {"skip", "other", "--reason", "no"},
		{"unskip", "demo"}, {"undo", "1"}, {"remove", "other"}, {"revoke", "pi"},
	} {
		_, out, errs := f.command(args...)
		said += strings.Count(out, "terces")
		for _, text := range []string{out, errs} {
			if strings.Contains(text, "panic") || text != farm.Clean(text) {
				t.Errorf("master %s: %q", strings.Join(args, " "), text)
			}
		}
	}
	if said < 10 {
		t.Errorf("only %d of what is hostile was told", said)
	}
}
