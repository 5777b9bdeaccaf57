// Package web is where the pages for people will stand. It holds nothing yet and never writes.
package web
