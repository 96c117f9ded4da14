// Package schemas is the wire vocabulary: the records of every topic as Avro
// schemas with the Go types generated from them, the codec (Confluent wire
// format), the topic table, the placement table, and the lock of every schema
// ever released.
//
// It is a leaf: it imports nothing else of this module, and nothing else of this
// module imports an Avro library.
package schemas

//go:generate go run ./generate
