// Package proxy is the way of builds to the network, and the only one: what a
// fenced build reaches at all, it reaches through here.
//
// Input are connections of one build at a time (Serve), made where nothing but
// this proxy can be reached, and the indexes that pip is to use. pip finds them at
// addresses of the proxy's own (Door.IndexPath): pages are passed on with the links
// of their files leading here again, so that what pip takes is seen, hashed and kept
// for the next build. All other traffic asks for the way out as clients of HTTP
// proxies do (CONNECT, or GET with a whole URL), and is let through or refused by
// the build's network (farm.Network) and by the address that is dialled, after DNS.
//
// Output is Taken: the files that pip took, and whom the build spoke to or wanted to.
//
// It owns the cache's folder, which several builds share and one process at a time
// works in. An entry is named by its SHA-256 and appears by rename when it was read
// to its end and has that sum; after kill -9 what was under way is removed by the
// next New. It never passes on the credentials of an index, never lets a build ask an
// index for anything but project pages and the files that they list, and never
// resolves a name twice between judging and dialling it.
package proxy
