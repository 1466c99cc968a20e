package farm

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pinwheel/internal/pep"
)

// Limits on what a recipe may hold.
const (
	MinRecipeMemory   = 128 << 20 // bytes: below it pip itself does not run
	MaxRecipeMemory   = 1 << 40
	MaxRecipeSize     = 16 << 10 // bytes of all texts of a recipe, also of one that is made of many
	maxRecipeTimeout  = 24 * time.Hour
	maxRecipeJobs     = 256
	maxRecipeEntries  = 64 // variables, options, Debian packages, of one that a maintainer writes
	maxRecipeText     = 1 << 10
	maxRecipeName     = 128
	maxRecipeVersions = 256
	maxRecipeFrom     = 4 << 10 // bytes of the names of those that a recipe is made of
)

var (
	globForm   = regexp.MustCompile(`^[a-z0-9*?]([a-z0-9*?-]*[a-z0-9*?])?$`)
	envForm    = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)
	debianForm = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
)

// Normalize brings a maintainer's spelling into the form that is kept: names and
// specifiers as PEP 503 and 440 have them, pip's options with an equals sign, Debian
// packages sorted. It changes nothing that Check would refuse.
func (r ScopedRecipe) Normalize() ScopedRecipe {
	r.Package = pep.NormalizeName(r.Package)
	for strings.Contains(r.Package, "**") {
		r.Package = strings.ReplaceAll(r.Package, "**", "*")
	}
	if s, err := pep.ParseSpecifiers(r.Versions); err == nil {
		r.Versions = s.String()
	}
	r.PipOptions = slices.Clone(r.PipOptions)
	for i, o := range r.PipOptions {
		if name, value, ok := strings.Cut(o, " "); ok && !strings.Contains(name, "=") {
			r.PipOptions[i] = name + "=" + strings.TrimLeft(value, " ")
		}
	}
	r.Constraints = slices.Clone(r.Constraints)
	for i, c := range r.Constraints {
		// Extras and markers would be lost: Check refuses them.
		if q, err := pep.ParseRequirement(c); err == nil && !strings.ContainsAny(c, "[;") {
			r.Constraints[i] = q.String()
		}
	}
	slices.SortFunc(r.Constraints, compareConstraints)
	r.Packages = slices.Clone(r.Packages)
	slices.Sort(r.Packages)
	r.Packages = slices.Compact(r.Packages)
	r.Reason = strings.TrimSpace(r.Reason)
	return r
}

// Check says what is wrong with a recipe that was normalized. What is refused is
// never needed to build: the environment and options that the fence, the index and
// the choice of what is built depend on (decision 20).
func (r ScopedRecipe) Check() error {
	if err := r.check(); err != nil {
		return fmt.Errorf("recipe %.80q: %w", r.Scope.String(), err)
	}
	return nil
}

func (r ScopedRecipe) check() error {
	if len(r.Package) > maxRecipeName || !globForm.MatchString(r.Package) {
		return fmt.Errorf("package %.80q: want a name, or a pattern of one with * and ?", r.Package)
	}
	if _, err := pep.ParseSpecifiers(r.Versions); err != nil || len(r.Versions) > maxRecipeVersions {
		return fmt.Errorf("versions %.80q: want specifiers such as >=2,<3 (PEP 440)", r.Versions)
	}
	if r.Target != "" {
		if _, err := ParseTarget(r.Target); err != nil {
			return err
		}
	}
	if r.Reason == "" {
		return errors.New("want a reason, for whoever reads it next year")
	}
	if err := checkLine("reason", r.Reason, maxRecipeText); err != nil {
		return err
	}
	if err := checkLine("author", r.Author, maxRecipeName); err != nil {
		return err
	}
	if r.Recipe.IsZero() {
		return errors.New("it says nothing of how to build")
	}
	if len(r.From) > 0 {
		return errors.New("it is made of others")
	}
	if most := max(len(r.Env), len(r.PipOptions), len(r.Constraints), len(r.Packages)); most > maxRecipeEntries {
		return fmt.Errorf("%d entries in one list, at most %d are allowed", most, maxRecipeEntries)
	}
	return r.Recipe.Check()
}

// Check says what is wrong with a recipe, also with one that came over the wire.
func (r Recipe) Check() error {
	switch {
	case r.Timeout != 0 && (r.Timeout < time.Second || r.Timeout > maxRecipeTimeout):
		return fmt.Errorf("timeout %s: want 1s to %s", r.Timeout, maxRecipeTimeout)
	case r.Memory != 0 && (r.Memory < MinRecipeMemory || r.Memory > MaxRecipeMemory):
		return fmt.Errorf("memory of %d bytes: want %dM to %dG", r.Memory, MinRecipeMemory>>20, MaxRecipeMemory>>30)
	case r.Jobs < 0 || r.Jobs > maxRecipeJobs:
		return fmt.Errorf("jobs %d: want 1 to %d", r.Jobs, maxRecipeJobs)
	}
	if _, err := ParseNetwork(r.Network); err != nil {
		return err
	}
	if size := r.Size(); size > MaxRecipeSize {
		return fmt.Errorf("%d bytes of text, at most %d are allowed", size, MaxRecipeSize)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Env)) {
		if err := checkVariable(name, r.Env[name]); err != nil {
			return err
		}
	}
	for _, o := range r.PipOptions {
		if err := checkPipOption(o); err != nil {
			return err
		}
	}
	if err := r.checkConstraints(); err != nil {
		return err
	}
	return r.checkLists()
}

// checkConstraints lets nothing through that pip would read as anything but a name
// and its versions: no option, no URL, no file.
func (r Recipe) checkConstraints() error {
	for i, c := range r.Constraints {
		q, err := pep.ParseRequirement(c)
		if err != nil || q.String() != c || q.Versions.String() == "" {
			return fmt.Errorf("constraint %.80q: want a name with versions, setuptools<58", c)
		}
		if err := checkLine("constraint", c, maxRecipeText); err != nil {
			return err
		}
		if i > 0 && q.Name <= constrained(r.Constraints[i-1]) {
			return fmt.Errorf("constraint %.80q: there is another one on %s, or they are not sorted", c, q.Name)
		}
	}
	return nil
}

func (r Recipe) checkLists() error {
	for i, p := range r.Packages {
		if !ValidDebianName(p) {
			return fmt.Errorf("%.80q is not the name of a Debian package", p)
		}
		if i > 0 && p <= r.Packages[i-1] {
			return fmt.Errorf("packages of Debian are not sorted at %q", p)
		}
	}
	for _, f := range r.From {
		if err := checkLine("from", f, maxRecipeText); err != nil {
			return err
		}
	}
	return nil
}

// ValidDebianName says whether s may be the name of a Debian package (its policy's
// section 5.6.1).
func ValidDebianName(s string) bool { return len(s) <= maxRecipeName && debianForm.MatchString(s) }

// checkLine wants text that is one line and can be kept.
func checkLine(what, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%s has %d bytes, at most %d are allowed", what, len(s), limit)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%s %.80q: want one line of text", what, s)
	}
	return nil
}

func checkVariable(name, value string) error {
	if len(name) > maxRecipeName || !envForm.MatchString(name) {
		return fmt.Errorf("variable %.80q: want a name of A-Z, 0-9 and _", name)
	}
	if why := reserved(name); why != "" {
		return fmt.Errorf("variable %s is not for recipes: %s", name, why)
	}
	return checkLine("variable "+name, value, maxRecipeText)
}

// reserved says why a variable is not for recipes: empty, if it is. The sandbox's
// own programs have the same environment as the build.
func reserved(name string) string {
	const (
		loader  = "it makes the sandbox's own programs load foreign code"
		fence   = "the sandbox sets it"
		index   = "it changes what pip takes, and from where"
		python  = "it changes the Python that pip itself runs in"
		network = "it changes the way out, and whom the build believes"
		lying   = "the wheel would be for another machine than its name says"
		words   = "what a log says must be understood by the rules of causes"
	)
	exact := map[string]string{
		"PATH": fence, "HOME": fence, "USER": fence, "LOGNAME": fence, "SHELL": fence, "PWD": fence, "TMPDIR": fence,
		"TMP": fence, "TEMP": fence, "VIRTUAL_ENV": python, "LANG": words, "LANGUAGE": words, "NLSPATH": words,
		"ENV": loader, "IFS": loader, "SHELLOPTS": loader, "GCONV_PATH": loader, "GLIBC_TUNABLES": loader, "LOCPATH": loader,
		"HOSTALIASES": network, "RES_OPTIONS": network, "LOCALDOMAIN": network, "OPENSSL_CONF": network,
		"OPENSSL_MODULES": network, "SSL_CERT_FILE": network, "SSL_CERT_DIR": network, "REQUESTS_CA_BUNDLE": network,
		"CURL_CA_BUNDLE": network, "NETRC": network, "WGETRC": network, "CURL_HOME": network,
		"GOPROXY": network, "GOFLAGS": network, "FORCE_COLOR": words, "CLICOLOR_FORCE": words, "GCC_COLORS": words,
		// How Python reads texts and hashes is what old packages want.
		"PYTHONUTF8": "", "PYTHONIOENCODING": "", "PYTHONHASHSEED": "",
	}
	if why, ok := exact[name]; ok {
		return why
	}
	for prefix, why := range map[string]string{ // none begins another
		"LD_": loader, "BASH": loader, "PINWHEEL_": fence, "XDG_": fence, "PIP_": index, "UV_": index, "PYTHON": python,
		"_PYTHON": lying, "LC_": words, "GIT_": network, "NPM_": network, "NODE_": network, "RUSTUP_": network,
		"CARGO_HTTP_": network, "CARGO_SOURCE_": network, "CARGO_REGISTR": network, "CARGO_NET_": network,
	} {
		if strings.HasPrefix(name, prefix) {
			return why
		}
	}
	if strings.HasSuffix(name, "_PROXY") {
		return network
	}
	return ""
}

// pipOptions are those of `pip wheel` that say how a package is built, and whether
// they take a value. All others say what is built, from where, or to where.
func pipOptions() map[string]bool {
	return map[string]bool{
		"--no-build-isolation": false, "--use-pep517": false, "--no-use-pep517": false, "--check-build-dependencies": false,
		"--config-settings": true, "--global-option": true, "--build-option": true,
	}
}

func checkPipOption(option string) error {
	name, value, given := strings.Cut(option, "=")
	wants, ok := pipOptions()[name]
	switch {
	case !ok:
		var known []string
		for o := range pipOptions() {
			known = append(known, o)
		}
		slices.Sort(known)
		return fmt.Errorf("pip option %.80q is not for recipes: want one of %s", name, strings.Join(known, ", "))
	case wants && value == "":
		return fmt.Errorf("pip option %s wants a value: %s=VALUE", name, name)
	case !wants && given:
		return fmt.Errorf("pip option %s takes no value", name)
	case name == "--config-settings" && strings.Index(value, "=") < 1:
		return fmt.Errorf("pip option %.80q: want --config-settings=KEY=VALUE", option)
	}
	return checkLine("pip option "+name, value, maxRecipeText)
}

// jobsEnv are the variables by which the tools of builds are told how many things
// to do at once: make and all that reads its flags, CMake, numpy's distutils,
// cargo, and torch's extensions.
func (r Recipe) jobsEnv() map[string]string {
	if r.Jobs == 0 {
		return map[string]string{}
	}
	n := strconv.Itoa(r.Jobs)
	return map[string]string{"MAKEFLAGS": "-j" + n, "CMAKE_BUILD_PARALLEL_LEVEL": n, "NPY_NUM_BUILD_JOBS": n,
		"CARGO_BUILD_JOBS": n, "MAX_JOBS": n}
}
