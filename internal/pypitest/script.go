package pypitest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	controlPrefix = "/-/"
	maxScript     = 64 << 20 // bytes
)

// control is how another process tells stories: POST /-/tell takes lines for [Server.Tell], POST /-/add takes
// descriptions for [Server.AddText], GET /-/state gives [Server.State] as JSON. Faults and counts are not for these.
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	for path, do := range map[string]func(string) error{"tell": s.Tell, "add": s.AddText} {
		mux.HandleFunc("POST "+controlPrefix+path, func(w http.ResponseWriter, r *http.Request) {
			text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxScript))
			if err == nil {
				err = do(string(text))
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		})
	}
	mux.HandleFunc("GET "+controlPrefix+"state", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.State()) // a client that went away misses nothing
	})
	return mux
}

// Tell does what the lines of a script say, until one fails; words are separated by blanks, empty lines and # comments
// do not count. Files are hollow. What is in brackets may be missing; REASON, SPECIFIER and ACTION are the rest of
// the line.
//
//	create NAME
//	release NAME VERSION [WORD ...]         .tar.gz .zip, py3-none-any (a wheel), python=>=3.7; default .tar.gz;
//	                                        of a release that is there, the files that are missing
//	many NAME COUNT                         releases 1.0.0 1.0.1 ... of an sdist each, at once
//	empty NAME VERSION                      a release without files
//	file NAME VERSION FILENAME
//	python NAME VERSION SPECIFIER
//	yank NAME VERSION [REASON]
//	unyank NAME VERSION
//	remove NAME [VERSION]
//	remove-file NAME FILENAME
//	rename NAME SPELLING
//	quarantine NAME [REASON]                quarantine-release NAME VERSION
//	clear NAME [VERSION]
//	status NAME STATUS [REASON]             archived, deprecated, active
//	event NAME VERSION ACTION               a version of - is none
//	stale NAME COUNT                        requests
//	jump-back COUNT                         serials
//	backup                                  restore: all is as it was at the backup, serials too
//	break PREFIX TROUBLE [KEY=VALUE ...]    status retry-after times code by bytes
//	mend PREFIX
//	have FEATURE                            changelog serials page-serials json details
//	lack FEATURE
func (s *Server) Tell(script string) error {
	n := 0
	for line := range strings.Lines(script) {
		n++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := s.tellLine(words[0], words[1:]); err != nil {
			return fmt.Errorf("line %d, %q: %w", n, strings.TrimSpace(line), err)
		}
	}
	return nil
}

// verb is one command of a script: how many words it needs, and what it does with them.
type verb struct {
	words int
	do    func(words []string) error
}

func (s *Server) tellLine(name string, words []string) error {
	v, ok := s.verbs()[name]
	switch {
	case !ok:
		return fmt.Errorf("unknown command %q", name)
	case len(words) < v.words:
		return fmt.Errorf("%d words, want %d at least", len(words), v.words)
	}
	return v.do(words)
}

func (s *Server) verbs() map[string]verb {
	rest := func(words []string) string { return strings.Join(words, " ") }
	return map[string]verb{
		"create":             {1, func(w []string) error { return s.Create(w[0]) }},
		"release":            {2, func(w []string) error { return s.Upload(hollowRelease(w[0], w[1], w[2:])) }},
		"many":               {2, func(w []string) error { return s.many(w[0], w[1]) }},
		"empty":              {2, func(w []string) error { return s.NewRelease(w[0], w[1]) }},
		"file":               {3, func(w []string) error { return s.AddFile(w[0], w[1], w[2]) }},
		"python":             {3, func(w []string) error { return s.RequirePython(w[0], w[1], rest(w[2:])) }},
		"yank":               {2, func(w []string) error { return s.Yank(w[0], w[1], rest(w[2:])) }},
		"unyank":             {2, func(w []string) error { return s.Unyank(w[0], w[1]) }},
		"remove":             {1, func(w []string) error { return s.Remove(w[0], w[1:]...) }},
		"remove-file":        {2, func(w []string) error { return s.RemoveFile(w[0], w[1]) }},
		"rename":             {2, func(w []string) error { return s.Rename(w[0], w[1]) }},
		"quarantine":         {1, func(w []string) error { return s.Quarantine(w[0], rest(w[1:])) }},
		"quarantine-release": {2, func(w []string) error { return s.Quarantine(w[0], "", w[1:]...) }},
		"clear":              {1, func(w []string) error { return s.ClearQuarantine(w[0], w[1:]...) }},
		"status":             {2, func(w []string) error { return s.SetStatus(w[0], w[1], rest(w[2:])) }},
		"event": {3, func(w []string) error {
			s.Announce(Event{Name: w[0], Version: strings.TrimPrefix(w[1], "-"), Action: rest(w[2:])})
			return nil
		}},
		"stale":     {2, func(w []string) error { return withNumber(w[1], func(n int) { s.Stale(w[0], n) }) }},
		"jump-back": {1, func(w []string) error { return withNumber(w[0], func(n int) { s.JumpBack(int64(n)) }) }},
		"backup":    {0, func([]string) error { s.Backup(); return nil }},
		"restore":   {0, func([]string) error { return s.Restore() }},
		"break":     {2, func(w []string) error { return s.tellBreak(w[0], w[1], w[2:]) }},
		"mend":      {1, func(w []string) error { s.Mend(w[0]); return nil }},
		"have":      {1, func(w []string) error { return s.lack(w[0], false) }},
		"lack":      {1, func(w []string) error { return s.lack(w[0], true) }},
	}
}

// hollowRelease has what its words say: the endings of sdists, the tags of wheels, the Pythons it wants.
func hollowRelease(name, version string, words []string) Release {
	r := Release{Name: name, Version: version, Hollow: true}
	for _, word := range words {
		if python, ok := strings.CutPrefix(word, "python="); ok {
			r.RequiresPython = python
		} else if strings.HasPrefix(word, ".") {
			r.Formats = append(r.Formats, word)
		} else {
			r.Wheels = append(r.Wheels, word)
		}
	}
	r.NoSdist = len(r.Wheels) > 0 && len(r.Formats) == 0
	return r
}

func (s *Server) many(name, count string) error {
	var all []Release
	err := withNumber(count, func(n int) {
		for i := range n {
			all = append(all, hollowRelease(name, fmt.Sprintf("1.0.%d", i), nil))
		}
	})
	return cmp.Or(err, s.Add(all...))
}

func withNumber(word string, do func(int)) error {
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no number", word)
	}
	do(n)
	return nil
}

func (s *Server) lack(feature string, on bool) error {
	do := map[string]func(bool){
		"changelog": s.NoChangelog, "serials": s.NoSerials, "page-serials": s.NoPageSerials, "json": s.HTMLOnly, "details": s.NoDetails,
	}[feature]
	if do == nil {
		return fmt.Errorf("unknown feature %q, want changelog, serials, page-serials, json or details", feature)
	}
	do(on)
	return nil
}

func (s *Server) tellBreak(prefix, trouble string, settings []string) error {
	f := Fault{Trouble: Trouble(trouble)}
	if !slices.Contains(Troubles(), f.Trouble) {
		return fmt.Errorf("unknown trouble %q, want one of %q", trouble, Troubles())
	}
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		number := map[string]*int{"status": &f.Status, "times": &f.Times, "code": &f.Code, "bytes": &f.Bytes}[key]
		var err error
		switch {
		case number != nil:
			*number, err = strconv.Atoi(value)
		case key == "by":
			f.By, err = strconv.ParseInt(value, 10, 64)
		case key == "retry-after":
			f.RetryAfter = value
		default:
			err = fmt.Errorf("unknown setting %q", key)
		}
		if err != nil {
			return fmt.Errorf("setting %q: %w", setting, err)
		}
	}
	s.Break(prefix, f)
	return nil
}
