package builder

import (
	"net/url"
	"slices"
	"strings"
)

// shortestSecret is how long a password must be to be looked for by itself: a
// shorter one stands by chance in too many words.
const shortestSecret = 6

// secrets are the passwords that this build is told, in URLs: of the indexes, of
// proxies, and in a recipe's variables. A log shows none of them, wherever a
// package prints it.
func (b Build) secrets(x *box) []string {
	var found []string
	for _, text := range slices.Concat([]string{b.IndexURL}, b.ExtraIndexURLs, x.env()) {
		if _, value, ok := strings.Cut(text, "="); ok && !strings.Contains(text[:len(text)-len(value)], "://") {
			text = value // of a variable
		}
		u, err := url.Parse(text)
		if err != nil || u.User == nil {
			continue
		}
		password, _ := u.User.Password()
		_, escaped, _ := strings.Cut(u.User.String(), ":")
		for _, s := range []string{password, escaped} {
			if len(s) >= shortestSecret && !strings.ContainsAny(s, " \t\n") && !slices.Contains(found, s) {
				found = append(found, s)
			}
		}
	}
	return found
}
