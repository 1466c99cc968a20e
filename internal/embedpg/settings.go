package embedpg

import (
	"fmt"
	"maps"
	"slices"
)

// defaults suit a farm on one small machine. What is not here is Postgres's
// own default; durability is spelled out so that no file can take it away.
func defaults() map[string]string {
	return map[string]string{
		"cluster_name":       "pinwheel",
		"fsync":              "on",
		"full_page_writes":   "on",
		"synchronous_commit": "on",
		"jit":                "off", // the farm's statements are short
		"timezone":           "UTC",
		"log_timezone":       "UTC",
		"log_checkpoints":    "off", // a line every five minutes for nothing
		"log_line_prefix":    "%m [%p] ",
		"logging_collector":  "off", // the log is the file that we hand down
		"log_destination":    "stderr",
	}
}

// owned are the settings that decide who can reach the server and how we talk
// to it; nobody else may set them.
func owned(a Address) map[string]string {
	return map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": a.folder,
		"unix_socket_permissions": "0700",
		"port":                    port,
		"external_pid_file":       "",
	}
}

func checkSettings(settings map[string]string) error {
	for name := range settings {
		if _, ours := owned(Address{})[name]; ours || name == "data_directory" {
			return fmt.Errorf("set %s of the embedded Postgres: it decides who reaches the server and is not for setting", name)
		}
	}
	return nil
}

// arguments spells all settings for the server's command line, where they win
// over every file.
func arguments(data string, a Address, settings map[string]string) []string {
	all := defaults()
	maps.Copy(all, settings)
	maps.Copy(all, owned(a))
	args := []string{"-D", data}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}

func isDurable(settings map[string]string) bool { return settings["fsync"] != "off" }
