// Package publish is the stage that writes the static index: the folder simple/
// of the site, which pip reads (PEP 503, 592, 658, 691, 700, 714, 792).
//
// Input: the rows of the database that say which pages are stale and what stands
// on them, and the wheel files of the depot. Output, for each project, the wheels
// beside their pages:
//
//	simple/NAME/FILENAME            linked from the depot
//	simple/NAME/FILENAME.metadata   the wheel's METADATA
//	simple/NAME/FILENAME.build.json   how it was made
//	simple/NAME/index.html, .json   naming the files above
//	simple/index.html, index.json   naming the projects above
//
// and beside each page a copy with .gz after its name, for servers that send it
// as it is (nginx: gzip_static). A copy with the time of its page is one of it.
//
// It owns that folder. The site is a pure function of the rows and the depot:
// deleted, it is written again, byte for byte.
//
// Everything appears by rename and in the order file, page, root index; what goes
// goes in the opposite order: root index, page, the row of a withdrawn wheel, file.
// So after a crash at any moment no page names what is not there, and no row a file
// that is gone; at worst a file lies there that no page names yet, or no longer. The
// row that says "stale" is deleted last, hence what a crash cut short is done
// again, and doing it again changes nothing.
//
// The page of a project that its upstream has quarantined (PEP 792) names no file,
// and its wheels have no name in the site until that is taken back.
//
// It never changes a published file, never asks a slave or the upstream, and never
// calls another stage.
package publish
