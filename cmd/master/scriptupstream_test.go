package main

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"

	"pinwheel/internal/clitest"
	"pinwheel/internal/farmtest"
)

// The commands of scripts about what happens upstream:
//
//	tell LINE...                     stories and troubles, see pypitest.Tell
//	asked N PATH...                  wait until each was asked for N times, not more
//	until REGEXP PROGRAM...          run it again and again until its output matches
//	page URL REGEXP                  ask for it again and again until it matches
//	lacks URL REGEXP                 the same, until it does not

func tell(s *clitest.Script, args []string) {
	s.Must(s.Upstream().Tell(strings.Join(args, "\n")))
}

func asked(s *clitest.Script, args []string) {
	for _, path := range args[1:] {
		farmtest.Eventually(s.TB, path+" is asked for "+args[0]+" times", func() bool {
			return fmt.Sprint(s.Upstream().Requests(path)) >= args[0]
		})
		if n := fmt.Sprint(s.Upstream().Requests(path)); n != args[0] {
			s.Fail("%s was asked for %s times, want %s", path, n, args[0])
		}
	}
}

func until(s *clitest.Script, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	var out []byte
	defer func() { fmt.Fprintf(s.TestScript.Stdout(), "%s", out) }()
	farmtest.Eventually(s.TB, strings.Join(args[1:], " ")+" prints "+args[0], func() bool {
		cmd := exec.CommandContext(s.TB.Context(), s.Place.Bin+"/"+args[1], args[2:]...)
		cmd.Env = append(cmd.Environ(), "PATH="+s.Var("PATH"), "PINWHEEL_DATABASE_URL="+s.Var("PINWHEEL_DATABASE_URL"),
			"PINWHEEL_STATE_DIR="+s.Var("PINWHEEL_STATE_DIR"))
		var err error
		out, err = cmd.Output()
		return err == nil && want.Match(out)
	})
}

func page(s *clitest.Script, args []string) { awaitPage(s, args, true) }

func lacks(s *clitest.Script, args []string) { awaitPage(s, args, false) }

func awaitPage(s *clitest.Script, args []string, matches bool) {
	want := regexp.MustCompile(args[1])
	farmtest.Eventually(s.TB, fmt.Sprintf("%s matches %s: %v", args[0], args[1], matches), func() bool {
		resp, err := http.Get(args[0])
		s.Must(err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return err == nil && want.Match(body) == matches
	})
}
