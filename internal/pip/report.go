package pip

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// downloading is how a pip without reports says what it takes.
var downloading = regexp.MustCompile(`(?m)^ *Downloading (https?://\S+)`)

// hasReport says whether pip knows `install --report`: since 22.2.
func hasReport(pip string) bool { return Python{Pip: pip}.pipIs("22.2") }

// readReport reads from an installation report what the one requirement was
// taken from.
func readReport(path string) (url, sum string, err error) {
	f, err := openPlain(path)
	if err != nil {
		return "", "", fmt.Errorf("read pip's report: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxOutput))
	if err != nil {
		return "", "", fmt.Errorf("read pip's report: %w", err)
	}
	return parseReport(b)
}

// parseReport reads the installation report's format, version 1. The hash has
// two spellings: pips before 23 know only the older one.
func parseReport(b []byte) (url, sum string, err error) {
	var report struct {
		Install []struct {
			Download struct {
				URL     string `json:"url"`
				Archive struct {
					Hash   string            `json:"hash"`
					Hashes map[string]string `json:"hashes"`
				} `json:"archive_info"`
			} `json:"download_info"`
		} `json:"install"`
	}
	if err := json.Unmarshal(b, &report); err != nil {
		return "", "", fmt.Errorf("read pip's report: %w", err)
	}
	if len(report.Install) != 1 {
		return "", "", fmt.Errorf("read pip's report: it installed %d distributions, not one", len(report.Install))
	}
	d := report.Install[0].Download
	sum = d.Archive.Hashes["sha256"]
	if sum == "" {
		sum, _ = strings.CutPrefix(d.Archive.Hash, "sha256=")
	}
	return d.URL, sum, nil
}

// takeAgain finds out what a pip without reports took: the URL stands in its
// output, and the same choice once more, kept as a file, has the hash.
func (v *prover) takeAgain(ctx context.Context, output string) (url, sum string, err error) {
	dir := filepath.Join(v.dir, "taken")
	if _, err := v.runPip(ctx, "download", "--no-deps", "--no-cache-dir", "--index-url", v.Index, "-d", dir, v.requirement()); err != nil {
		return "", "", fmt.Errorf("download it again: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		return "", "", fmt.Errorf("download it again: %d files, not one: %v", len(files), err)
	}
	sum, err = fileSum(filepath.Join(dir, files[0].Name()))
	if m := downloading.FindStringSubmatch(output); m != nil {
		url = m[1]
	}
	return url, sum, err
}

func fileSum(path string) (string, error) {
	f, err := openPlain(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// openPlain opens a regular file that another user wrote: never through a
// symbolic link, never a pipe that keeps us waiting.
func openPlain(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("read %s: not a regular file", path)
	}
	return f, nil
}
