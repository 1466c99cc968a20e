// Package sql embeds the numbered migrations of the farm's database. They only
// go forward, and the previous binary still works on the new schema.
package sql

import "embed"

// FS holds the migrations, named NNNN_what.sql in goose's form.
//
//go:embed *.sql
var FS embed.FS
