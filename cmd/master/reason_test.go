package main

import (
	"strings"
	"testing"
)

func TestReasonIsOneLine(t *testing.T) {
	t.Parallel()
	for why, ok := range map[string]bool{
		"": true, "kein Lüfter": true, strings.Repeat("x", 500): true,
		strings.Repeat("x", 501): false, "two\nlines": false, "\xff": false, // which Postgres cannot store
	} {
		if err := checkReason(why); (err == nil) != ok {
			t.Errorf("%.20q: %v", why, err)
		}
	}
}
