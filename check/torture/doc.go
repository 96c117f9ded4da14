// Package torture kills, stops and cuts the parts of the system while a load runs
// on it, and lets package check judge what is left. It is all tests: a short form
// runs with the others, `make torture` runs the long one.
package torture
