package farm

import (
	"fmt"
	"slices"
	"strings"
)

// What a build may reach beside what pip takes from the indexes.
const (
	NetworkPublic = "public" // what everybody may reach
	NetworkIndex  = "index"  // nothing
	NetworkNone   = "none"   // nothing; and the indexes only until pip begins to build the wheel
)

// Networks lists them, the default first.
func Networks() []string { return []string{NetworkPublic, NetworkIndex, NetworkNone} }

// ParseNetwork reads a network's name; empty is the default.
func ParseNetwork(s string) (string, error) {
	if s == "" {
		return NetworkPublic, nil
	}
	if slices.Contains(Networks(), s) {
		return s, nil
	}
	return "", fmt.Errorf("network %.40q: want one of %s", s, strings.Join(Networks(), ", "))
}

// Requirement is what a build took from an index to build with.
type Requirement struct {
	Name    string `json:"name"`    // normalized (PEP 503)
	Version string `json:"version"` // as the file name has it
	File    string `json:"file"`    // the file name
	SHA256  string `json:"sha256"`  // hex, of the bytes that it took
}

// Contact is a host past the indexes that a build reached, or wanted to.
type Contact struct {
	Host    string `json:"host"`              // name:port
	Times   int    `json:"times"`             //
	Refused bool   `json:"refused,omitempty"` // by its network, or because of the address
	Why     string `json:"why,omitempty"`     // it did not come through
}

// Refusal is that a build was refused this host, in words.
func (c Contact) Refusal() string { return RefusedByFence + ": " + c.Host + ": " + c.Why }

// pastProxy begins, behind RefusedByFence, the words of a log that did not get out and
// asked nobody who could have let it.
const pastProxy = "past the proxy"

// Seen is what is known of a build's network, beside what its log tells.
type Seen struct {
	Contacts []Contact // whom it asked for
	Fault    string    // of an index that failed it; empty: none did
	Fenced   bool      // there was no way out but by asking
}

// Blame says why a build failed of which more is known than its log tells: whom it
// could not reach, and whether an index failed it. Both are the cause only where the
// log has no better one, since a build may well do without.
func Blame(excerpt string, s Seen) (Failure, Source) {
	rules := DefaultRules()
	read := rules.Classify(excerpt)
	vague := !rules.Explains(excerpt)
	broken := read.Cause == Network && len(s.Contacts) == 0 // what pip says of an index that broke off
	if s.Fault != "" && (vague || broken || read.Cause == NoSdist || read.Cause == BuildRequirement) {
		return Failure{Cause: UpstreamFault, Detail: clip(s.Fault, maxDetail)}, FromBuilder
	}
	if !vague && read.Cause != Network {
		return read, FromLog
	}
	for _, c := range s.Contacts { // what is refused is so on every slave, and comes first
		if c.Refused {
			return Failure{Cause: Network, Detail: clip(c.Refusal(), maxDetail)}, FromBuilder
		}
	}
	for _, c := range s.Contacts {
		if c.Why != "" {
			return Failure{Cause: Network, Detail: clip(c.Host+": "+c.Why, maxDetail)}, FromBuilder
		}
	}
	// It tried a way out that no slave's fence has. Had it asked for a host as well, its
	// log might tell of that one.
	if s.Fenced && len(s.Contacts) == 0 && read.Cause == Network && noWay(excerpt) {
		read.Detail = clip(RefusedByFence+": "+pastProxy+": "+read.Detail, maxDetail)
		return read, FromBuilder
	}
	return read, FromLog
}

// noWay says whether a log tells that there was no way to a host, as there is none out of
// a fence. One that was refused or late may be the build's own on this machine, or the
// slave's proxy, which another slave has whole.
func noWay(excerpt string) bool {
	lower := strings.ToLower(excerpt)
	return slices.ContainsFunc([]string{"could not resolve", "name resolution", "name or service not known",
		"nodename nor servname", "network is unreachable", "no route to host"}, func(words string) bool { return strings.Contains(lower, words) })
}
