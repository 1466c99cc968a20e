package bus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ServerConfig is what an external nats-server must be told, as a part of its
// configuration file: whom to trust, and the limits that the embedded server has.
// Nothing in it is secret. It changes when credentials are revoked.
func (t Trust) ServerConfig() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Whom to let in: those whom the farm's operator and account have signed.\n")
	fmt.Fprintf(&b, "operator: %q\n", t.Operator)
	fmt.Fprintf(&b, "system_account: %s\n", t.SystemAccount)
	fmt.Fprintf(&b, "resolver: MEMORY\nresolver_preload: {\n")
	for _, public := range slices.Sorted(maps.Keys(t.Accounts)) {
		fmt.Fprintf(&b, "  %s: %q\n", public, t.Accounts[public])
	}
	fmt.Fprintf(&b, "}\n\n")
	fmt.Fprintf(&b, "# A frozen peer is noticed within seconds; files travel by HTTP.\n")
	fmt.Fprintf(&b, "ping_interval: %q\nping_max: %d\nmax_payload: %d\n", PingEvery, MaxPings, MaxMessage)
	return b.String()
}
