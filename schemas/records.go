package schemas

// Record is one of the generated records: *RequestGeneration, *BatchRequested,
// *Account, *GenerationProgress ...
type Record interface {
	// SchemaName returns the full Avro name, such as
	// "atelier.events.v1.BatchRequested".
	SchemaName() string
}

// Command is a record of atelier.commands: what is asked.
type Command interface {
	Record
	Meta() *CommandMetadata
	isCommand()
}

// Event is a record of atelier.events: what happened.
type Event interface {
	Record
	Meta() *EventMetadata
	isEvent()
}

// Meta returns the metadata itself, to be read or filled in place.
func (m *CommandMetadata) Meta() *CommandMetadata { return m }

// Meta returns the metadata itself, to be read or filled in place.
func (m *EventMetadata) Meta() *EventMetadata { return m }

func (*CommandMetadata) isCommand() {}
func (*EventMetadata) isEvent()     {}

// ShortName returns the record's name without its namespace, such as
// "BatchRequested": the name that streams and screens use.
func ShortName(r Record) string {
	name := r.SchemaName()
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return name[i+1:]
		}
	}
	return name
}

// The codes with which a command is refused. Their text is the contract.
const (
	CodeDuplicate           = "duplicate"
	CodeIdempotencyConflict = "idempotency_conflict"
	CodeUnreadable          = "unreadable"
	CodeAccountErased       = "account_erased"
	CodeInternal            = "internal"
	CodeAlreadyClaimed      = "already_claimed"
	CodeLimitReached        = "limit_reached"
	CodeBrandNotFound       = "brand_not_found"
	CodeVersionConflict     = "version_conflict"
	CodeAssetNotFound       = "asset_not_found"
	CodeInsufficientCredits = "insufficient_credits"
	CodePriceChanged        = "price_changed"
	CodeTooManyOpen         = "too_many_open"
	CodeAllowanceExhausted  = "allowance_exhausted"
	CodeAlreadyFinished     = "already_finished"
	CodeInvalid             = "invalid_command"
)

// The kinds of Actor.
const (
	ActorUser            = "user"
	ActorSystem          = "system"
	ActorOperator        = "operator"
	ActorPaymentProvider = "payment_provider"
)
