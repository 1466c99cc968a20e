package config

import (
	"regexp"
	"strings"
)

// hidden stands for a secret.
const hidden = "xxxxx"

var (
	// userinfo is greedy: a password may hold an @, and hiding more than needed
	// harms nobody.
	userinfo = regexp.MustCompile(`(?is)([a-z][a-z0-9+.-]*)://(.*)@`)
	// parameter is a password of a URL's query or of a list of key=value.
	parameter = regexp.MustCompile(`(?i)((?:pass|pwd|secret|token)[a-z_]*\s*=\s*)('(?:\\.|[^'\\])*'?|[^\s&]*)`)
)

// hide takes the secrets out of a value that is shown: the password of a URL, or
// the token that stands where a user's name would, and parameters that are named
// like secrets.
func hide(value string) string {
	value = parameter.ReplaceAllString(value, "${1}"+hidden)
	return userinfo.ReplaceAllStringFunc(value, func(s string) string {
		m := userinfo.FindStringSubmatch(s)
		scheme, info := m[1], m[2]
		user, _, password := strings.Cut(info, ":")
		switch {
		case password:
			return scheme + "://" + user + ":" + hidden + "@"
		case strings.HasPrefix(strings.ToLower(scheme), "postgres"):
			return s // a name alone is no secret there
		}
		return scheme + "://" + hidden + "@"
	})
}

// Hide is hide for whoever logs or prints an address.
func Hide(value string) string { return hide(value) }
