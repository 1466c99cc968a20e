package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Tracer hears of each statement that has ended: its kind (a verb of SQL in small
// letters, or "other"), how long it took, waiting for the answer included, and whether
// it failed. It is called by whoever asked, so it must be quick.
type Tracer func(kind string, took time.Duration, failed bool)

// Kinds are the kinds of statements that a Tracer hears of.
func Kinds() []string {
	return []string{"select", "with", "insert", "update", "delete", "begin", "commit", "rollback", otherKind}
}

const otherKind = "other"

// kindOf is the first word of a statement, if it is one of Kinds.
func kindOf(sql string) string {
	word, _, _ := strings.Cut(strings.TrimLeft(sql, " \t\n("), " ")
	word, _, _ = strings.Cut(word, "\n")
	word = strings.ToLower(strings.TrimRight(word, ";"))
	for _, k := range Kinds() {
		if word == k {
			return k
		}
	}
	return otherKind
}

// watch is the Tracer in the form in which the driver wants it.
type watch struct{ tell Tracer }

type watchKey struct{}

type statement struct {
	kind  string
	began time.Time
}

// TraceQueryStart implements pgx.QueryTracer.
func (w watch) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, watchKey{}, statement{kindOf(q.SQL), time.Now()})
}

// TraceQueryEnd implements pgx.QueryTracer.
func (w watch) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryEndData) {
	if s, ok := ctx.Value(watchKey{}).(statement); ok {
		w.tell(s.kind, time.Since(s.began), q.Err != nil)
	}
}
