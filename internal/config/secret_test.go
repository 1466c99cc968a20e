package config

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestHide(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"postgres://u:p@h/d":                       "postgres://u:xxxxx@h/d",
		"postgres://u@h:5432/d":                    "postgres://u@h:5432/d",
		"postgres://u:a@b/c@h/d":                   "postgres://u:xxxxx@h/d",
		"postgres://u:p@h/d?password=q&sslmode=x":  "postgres://u:xxxxx@h/d?password=xxxxx&sslmode=x",
		"postgres://h/d?sslpassword=q":             "postgres://h/d?sslpassword=xxxxx",
		"host=h user=u password=p dbname=d":        "host=h user=u password=xxxxx dbname=d",
		`host=h password = 'a b\'c' dbname=d`:      "host=h password = xxxxx dbname=d",
		"nats://token@h:4222":                      "nats://xxxxx@h:4222",
		"nats://u:p@h:4222":                        "nats://u:xxxxx@h:4222",
		"nats://u:p@h:4222,nats://v:q@h:4223":      "nats://u:xxxxx@h:4223",
		"https://__token__:x@index.example/simple": "https://__token__:xxxxx@index.example/simple",
		"/var/lib/pinwheel":                        "/var/lib/pinwheel",
		"127.0.0.1:7070":                           "127.0.0.1:7070",
		"":                                         "",
	} {
		if got := Hide(value); got != want {
			t.Errorf("%s is shown as %s, want %s", value, got, want)
		}
	}
}

// TestNoPasswordIsShown: whatever a password is made of, none of it is left.
func TestNoPasswordIsShown(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		password := "geheim" + rapid.StringN(0, 20, -1).Draw(t, "password") + "geheim"
		raw := "postgres://user:" + password + "@host/name"
		escaped := (&url.URL{Scheme: "postgres", User: url.UserPassword("user", password), Host: "host", Path: "/name"}).String()
		for _, value := range []string{raw, escaped} {
			if got := Hide(value); strings.Contains(got, "geheim") {
				t.Fatalf("%q is shown as %q", value, got)
			}
		}
	})
}
