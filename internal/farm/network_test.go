package farm

import (
	"slices"
	"strings"
	"testing"
)

// TestBlame: what was seen of the network counts where the log is vague, or says as
// much; not where it knows better.
func TestBlame(t *testing.T) {
	t.Parallel()
	refused := []Contact{{Host: "ok.example:443", Times: 1}, {Host: "a.example:443", Times: 2, Refused: true, Why: "builds may not reach it"}}
	reached := refused[:1]
	const (
		header   = "x.c:1:10: fatal error: ffi.h: No such file or directory"
		network  = "urllib.error.URLError: <urlopen error Tunnel connection failed: 403 Forbidden>"
		noWay    = "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>"
		local    = "ConnectionRefusedError: [Errno 111] Connection refused"
		vague    = "RuntimeError: something went wrong"
		noSdist  = "ERROR: No matching distribution found for demo==1.0"
		upstream = "index.example: HTTP 503"
	)
	seen := Failure{Cause: Network, Detail: "refused by the fence: a.example:443: builds may not reach it"}
	away := []Contact{{Host: "down.example:443", Times: 1, Why: "connection refused"}}
	lost := Failure{Cause: Network, Detail: "down.example:443: connection refused"}
	past := Failure{Cause: Network, Detail: "refused by the fence: past the proxy: " + Classify(noWay).Detail}
	down := Failure{Cause: UpstreamFault, Detail: upstream}
	for name, c := range map[string]struct {
		excerpt string
		seen    Seen
		want    Failure
		from    Source
	}{
		"a better cause in the log":    {header, Seen{Contacts: refused, Fault: upstream}, Classify(header), FromLog},
		"the log says as much":         {network, Seen{Contacts: refused}, seen, FromBuilder},
		"the log is vague":             {vague, Seen{Contacts: refused}, seen, FromBuilder},
		"the log is empty":             {"", Seen{Contacts: refused}, seen, FromBuilder},
		"a host that did not answer":   {network, Seen{Contacts: away, Fenced: true}, lost, FromBuilder},
		"refused comes first":          {network, Seen{Contacts: append(slices.Clone(away), refused...)}, seen, FromBuilder},
		"all was reached":              {vague, Seen{Contacts: reached, Fenced: true}, Classify(vague), FromLog},
		"it broke afterwards":          {network, Seen{Contacts: reached, Fenced: true}, Classify(network), FromLog},
		"nobody was asked":             {network, Seen{}, Classify(network), FromLog},
		"nobody, within a fence":       {noWay, Seen{Fenced: true}, past, FromBuilder},
		"a way, but nobody there":      {local, Seen{Fenced: true}, Classify(local), FromLog},
		"an index that broke off":      {local, Seen{Fault: upstream, Fenced: true}, down, FromBuilder},
		"an index, and a refused host": {network, Seen{Contacts: refused, Fault: upstream, Fenced: true}, seen, FromBuilder},
		"nobody, and a better cause":   {header, Seen{Fenced: true}, Classify(header), FromLog},
		"nobody, and a vague log":      {vague, Seen{Fenced: true}, Classify(vague), FromLog},
		"an index that did not answer": {noSdist, Seen{Fault: upstream, Fenced: true}, down, FromBuilder},
		"no sdist on a good index":     {noSdist, Seen{Fenced: true}, Classify(noSdist), FromLog},
		"both":                         {vague, Seen{Contacts: refused, Fault: upstream}, down, FromBuilder},
	} {
		got, from := Blame(c.excerpt, c.seen)
		if got != c.want || from != c.from {
			t.Errorf("%s: %+v from %s, want %+v from %s", name, got, from, c.want, c.from)
		}
		if got.Cause == Network && got.Fenced() != strings.HasPrefix(c.want.Detail, "refused") {
			t.Errorf("%s: fenced %v", name, got.Fenced())
		}
	}
}

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": NetworkPublic, "public": NetworkPublic, "index": NetworkIndex, "none": NetworkNone, "all": "", "Public": ""} {
		if got, err := ParseNetwork(text); got != want || (err == nil) != (want != "") {
			t.Errorf("ParseNetwork(%q) = %q, %v", text, got, err)
		}
	}
}
