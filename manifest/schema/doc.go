// Package schema describes writ.yaml to editors as a JSON schema (draft 7, the one that YAML language
// servers know best). The fields and their types come from package manifest by reflection, so that the
// two cannot differ; what they mean to people is written here, and a test asks for every field.
//
// It is pure, and no part of how writ.yaml is read: manifest alone says what is accepted.
package schema
