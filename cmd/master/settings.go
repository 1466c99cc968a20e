package main

import (
	"errors"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"pinwheel/internal/cli"
	"pinwheel/internal/config"
	"pinwheel/internal/farm"
	"pinwheel/internal/proc"
)

// settings are a master's. The tags are the manual: they make the flags, the
// PINWHEEL_* variables, the keys of master.toml and docs/configuration.md (see
// config.Bind). A field without a key is for tests.
type settings struct {
	StateDir    string `key:"state-dir" help:"<DIR> of keys and the embedded database" empty:"/var/lib/pinwheel for root, else pinwheel below XDG_STATE_HOME or ~/.local/state"`
	DatabaseURL string `key:"database-url" help:"an external Postgres, <URL> as postgres://USER@HOST/NAME; serve wants its schema up to date" empty:"an embedded one, in the state directory"`
	DepotDir    string `key:"depot-dir" help:"<DIR> of wheel files and logs" empty:"depot in the state directory"`
	SiteDir     string `key:"site-dir" help:"<DIR> of the published site, on the depot's file system" empty:"site in the state directory"`
	Listen      string `key:"listen" default:"127.0.0.1:7070" help:"<ADDRESS> of the site and of uploads; :7070 is every address of this host"`
	PublicURL   string `key:"public-url" help:"base <URL> by which slaves and pip reach the site; uploads go there as well" empty:"http:// and the address of listen; https:// with tls-cert"`
	NATSListen  string `key:"nats-listen" default:"127.0.0.1:4222" help:"<ADDRESS> of the embedded NATS server, which lets nobody in without credentials"`
	NATSURL     string `key:"nats-url" help:"an external NATS server, <URL> as nats://HOST:4222, instead of the embedded one; it must be told what nats-config prints" empty:"the embedded server"`
	NATSCreds   string `key:"nats-creds" help:"credentials <FILE> of the master for nats-url, as nats-config --creds prints it" empty:"made anew at each start from the keys of the state directory"`
	TLSCert     string `key:"tls-cert" help:"certificate, <FILE>, PEM, with those between it and its authority behind it: listen and nats-listen speak TLS then" empty:"none; they speak plainly"`
	TLSKey      string `key:"tls-key" help:"the key, <FILE>, PEM, of tls-cert" empty:"none"`
	TLSCA       string `key:"tls-ca" help:"the authorities, <FILE>, PEM, that nats-url is trusted by, and by which slaves will trust tls-cert" empty:"the system's"`
	Upstream    string `key:"upstream" help:"the index to follow, <URL> of its simple/" empty:"the one that pip here uses"`
	MoveFrom    string `key:"move-from" help:"the index that this farm followed before, <URL>, when it is to follow another one: what that one lacks is taken down, and its file names are never used again"`
	Metrics     string `key:"metrics-listen" help:"<ADDRESS> of figures for Prometheus, /healthz and /readyz, for whoever reaches it; on loopback, pprof as well" empty:"none"`
	Python      string `key:"python" help:"the interpreter, <FILE>, whose pip is asked" empty:"the first that works"`

	Follow        bool          `key:"ingest-follow" default:"true" help:"follow the upstream: queue what it releases, within seconds; without, only what people ask for is read"`
	Poll          time.Duration `key:"ingest-poll" default:"10s" help:"between two questions for the upstream's changelog"`
	Requests      int           `key:"ingest-requests" default:"8" help:"<NUMBER> of projects asked for at once"`
	WalkEvery     time.Duration `key:"ingest-walk-every" default:"10m" help:"between two lists of all names, while the upstream has no changelog"`
	Nightly       string        `key:"ingest-nightly" default:"03:30" help:"local <TIME> from which all names are compared, once a night"`
	Reread        time.Duration `key:"ingest-reread" default:"720h" help:"after which a project is read again, though nothing was announced"`
	Changelog     string        `key:"ingest-changelog" help:"<URL> of the upstream's changelog (XML-RPC)" empty:"pypi beside the upstream's simple/"`
	JSON          string        `key:"ingest-json" help:"<URL> of the upstream's JSON API, which tells sizes and times that pages in HTML lack; none: it is not asked" empty:"pypi beside the upstream's simple/"`
	Contact       string        `key:"ingest-contact" help:"a web or mail <ADDRESS> by which the upstream's people find you"`
	Wheels        string        `key:"policy-upstream-wheels" default:"last" help:"what is done where the upstream has a wheel that pip takes: <WORD> skip, last (when there is nothing else to do) or build"`
	Yanked        string        `key:"policy-yanked" default:"last" help:"what is done with yanked releases: <WORD> skip, last or build"`
	NewDays       int           `key:"policy-new-days" default:"14" help:"<NUMBER> of days for which a release is new, and goes before older ones"`
	ProjectLeases int           `key:"policy-project-leases" default:"4" help:"<NUMBER> of builds of one project at once"`
	SlaveFaults   int           `key:"policy-slave-faults" default:"5" help:"<NUMBER> of faults of its own in a row after which a slave is paused"`

	Lease time.Duration `key:"lease" default:"90s" help:"for how long a slave keeps a job without being heard; it is heard three times as often"`

	BuildTimeout  time.Duration `key:"build-timeout" default:"30m" help:"wall clock of a build; what takes longer is tried again last, with three hours, if that is more"`
	BuildMemory   config.Size   `key:"build-memory" help:"<SIZE>, as 2G, of the memory of all processes of a build together" empty:"what a slave has"`
	BuildDisk     config.Size   `key:"build-disk" default:"10G" help:"<SIZE> of all files of a build together"`
	BuildProcs    int           `key:"build-procs" default:"1024" help:"<NUMBER> of processes and threads of a build at once"`
	BuildLogLimit config.Size   `key:"build-log-limit" default:"10M" help:"<SIZE> of the log of a build that is kept; one that writes ten times as much ends"`

	Rules string `key:"rules" help:"<FILE> of rules that tell why builds fail, with the first word before the built-in ones; read again when it changes"`

	CacheDir  string        // what can be fetched again
	RootEvery time.Duration // between two root indexes; the same
	Limits    farm.Limits   // of a build, instead of those above

	LongTimeout time.Duration // of the second try of what timed out; 0: the default

	Throwaway bool // nothing is to outlive the process: the embedded database flushes nothing
}

// stateFlag is for the commands that only need the farm's state.
func (s *settings) stateFlag(cmd *cobra.Command) {
	s.bind(cmd, "state-dir", "database-url")
}

// serveFlags are all settings.
func (s *settings) serveFlags(cmd *cobra.Command) { s.bind(cmd) }

func (s *settings) bind(cmd *cobra.Command, keys ...string) {
	s.StateDir = proc.DefaultStateDir()
	config.Bind(cmd.Flags(), s, keys...)
	config.WithFile(cmd.Flags(), "master", s)
}

// fill derives what was not given.
func (s settings) fill() settings {
	or := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	or(&s.DepotDir, filepath.Join(s.StateDir, "depot"))
	or(&s.SiteDir, filepath.Join(s.StateDir, "site"))
	or(&s.CacheDir, proc.DefaultCacheDir())
	return s
}

// check refuses addresses that cannot be ones, before anything is begun.
func (s settings) check() error {
	if err := errors.Join(s.checkDatabase(), s.checkNATS(), s.checkFollowing(), s.checkLease(), s.checkLimits(), checkAddress("--listen", s.Listen), checkAddress("--nats-listen", s.NATSListen)); err != nil {
		return err
	}
	if s.Metrics != "" {
		if err := checkAddress("--metrics-listen", s.Metrics); err != nil {
			return err
		}
	}
	for flag, v := range map[string]string{"--upstream": s.Upstream, "--public-url": s.PublicURL, "--ingest-changelog": s.Changelog} {
		if !isURL(v) {
			return cli.Usage("%s %q: want a URL that starts with http:// or https://", flag, config.Hide(v))
		}
	}
	if s.JSON != noJSON && !isURL(s.JSON) {
		return cli.Usage("--ingest-json %q: want a URL that starts with http:// or https://, or %s", config.Hide(s.JSON), noJSON)
	}
	return nil
}

// isURL says whether a setting is the URL of a site, or not given.
func isURL(v string) bool {
	u, err := url.Parse(v)
	return v == "" || err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// shortestLease is three beats that a frozen connection to NATS can be left between.
const shortestLease = 5 * time.Second

// checkLease refuses leases that slaves would lose while nothing is wrong. The demo
// and tests settle nothing.
func (s settings) checkLease() error {
	if s.Lease != 0 && s.Lease < shortestLease {
		return cli.Usage("--lease %s: want %s or more, such as 90s", s.Lease, shortestLease)
	}
	return nil
}

// checkLimits refuses limits with which nothing is built.
func (s settings) checkLimits() error {
	for _, f := range []struct {
		flag      string
		is, least config.Size
	}{{"--build-memory", s.BuildMemory, 32 << 20}, {"--build-disk", s.BuildDisk, 1 << 20}, {"--build-log-limit", s.BuildLogLimit, 4 << 10}} {
		if f.is != 0 && f.is < f.least {
			return cli.Usage("%s %s: want at least %s", f.flag, &f.is, &f.least)
		}
	}
	if s.BuildTimeout < 0 || s.BuildTimeout != 0 && s.BuildTimeout < time.Second {
		return cli.Usage("--build-timeout %s: want 1s or more, such as 30m", s.BuildTimeout)
	}
	if s.BuildProcs != 0 && s.BuildProcs < 8 {
		return cli.Usage("--build-procs %d: want at least 8, pip needs some itself", s.BuildProcs)
	}
	return nil
}

// limits are those of every build that has none of its own.
func (s settings) limits() farm.Limits {
	return s.Limits.Over(farm.Limits{Timeout: s.BuildTimeout, Memory: int64(s.BuildMemory), Disk: int64(s.BuildDisk),
		Processes: s.BuildProcs, LogLimit: int64(s.BuildLogLimit)})
}

func (s settings) postgresDir() string { return filepath.Join(s.StateDir, "postgres") }
func (s settings) natsDir() string     { return filepath.Join(s.StateDir, "nats") }
