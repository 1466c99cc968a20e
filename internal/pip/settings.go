package pip

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// defaultIndex finds the index in pip's own help, white space made single.
var defaultIndex = regexp.MustCompile(`--index-url <url> .*?\(default (\S+?)\)`)

// Upstream is the index that pip on this machine uses: what the caller's
// environment and configuration say, else the default that pip's help names.
func Upstream(ctx context.Context, py Python) (string, error) {
	set, err := settings(ctx, py)
	if err != nil {
		return "", err
	}
	if u := set.find("index-url"); u != "" {
		return u, nil
	}
	out, err := command{argv: []string{py.Path, "-m", "pip", "wheel", "--help"},
		env: append(os.Environ(), "COLUMNS=200"), dir: "/"}.output(ctx)
	if err != nil {
		return "", fmt.Errorf("ask pip for its default index: %w", err)
	}
	if m := defaultIndex.FindStringSubmatch(strings.Join(strings.Fields(out), " ")); m != nil {
		return m[1], nil
	}
	return "", errors.New("ask pip for its default index: its help names none; set PIP_INDEX_URL or --upstream")
}

// bundle is the file of certificates that pip here trusts, by pip's settings
// first and then by the variables that its libraries read.
func bundle(ctx context.Context, py Python) (string, error) {
	set, err := settings(ctx, py)
	if err != nil {
		return "", err
	}
	if c := set.find("cert"); c != "" {
		return c, nil
	}
	for _, name := range []string{"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"} {
		if c := os.Getenv(name); c != "" {
			return c, nil
		}
	}
	return "", nil
}

// settingList is what `pip config list` says, by "section.key".
type settingList map[string]string

// find looks a key up in the order in which `pip install` would.
func (s settingList) find(key string) string {
	for _, section := range []string{":env:", "install", "wheel", "global"} {
		if v := s[section+"."+key]; v != "" {
			return v
		}
	}
	return ""
}

func settings(ctx context.Context, py Python) (settingList, error) {
	if !py.pipIs("10") { // it cannot list them; of the files nothing is known then
		return settingList{":env:.index-url": os.Getenv("PIP_INDEX_URL"), ":env:.cert": os.Getenv("PIP_CERT")}, nil
	}
	out, err := command{argv: []string{py.Path, "-m", "pip", "config", "list"}, env: os.Environ(), dir: "/"}.output(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask pip for its settings: %w", err)
	}
	return parseSettings(out), nil
}

// parseSettings reads lines of the form section.key='value', the value as
// Python's repr writes it.
func parseSettings(out string) settingList {
	set := settingList{}
	for line := range strings.Lines(out) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || len(value) < 2 {
			continue
		}
		quote := value[:1]
		if (quote != "'" && quote != `"`) || !strings.HasSuffix(value, quote) {
			continue
		}
		set[name] = strings.NewReplacer(`\\`, `\`, `\`+quote, quote).Replace(value[1 : len(value)-1])
	}
	return set
}
