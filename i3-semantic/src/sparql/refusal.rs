//! Why a query is not carried out.

/// Why a query is refused before anything runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryRefused {
    /// Longer than [`super::MAX_BYTES`].
    #[error("the query is longer than {} bytes", super::MAX_BYTES)]
    TooLong,
    /// Brackets deeper than [`super::MAX_DEPTH`].
    #[error("brackets are nested deeper than {}", super::MAX_DEPTH)]
    TooDeep,
    /// `\u` and `\U`: they could stand for anything, brackets too.
    #[error("escapes of code points are not accepted; write the character itself")]
    CodePointEscape,
    /// Not SPARQL 1.1.
    #[error("not a lawful SPARQL query: {0}")]
    Syntax(String),
    /// It would change something.
    #[error("updates are not accepted")]
    Update,
    /// `SERVICE`.
    #[error("SERVICE is not accepted: queries do not leave this server")]
    Service,
    /// `FROM`, or a data set in the protocol's parameters.
    #[error("FROM is not accepted: the data set is that of this server")]
    Dataset,
    /// More than fits one query.
    #[error("too many {what}: at most {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are accepted.
        limit: usize,
    },
    /// Patterns without a variable in common: every row of one with every row of the other.
    #[error("parts of the query have no variable in common; connect them")]
    NotConnected,
    /// A path that goes on and on from everywhere to everywhere.
    #[error("a path with * or + needs one bound end, or a property by name and no other * or + within")]
    OpenPath,
    /// Text that grows out of text that grew.
    #[error("texts are built out of built texts more than {} deep", super::MAX_GROWTH)]
    Growth,
    /// A function that is not SPARQL's.
    #[error("the function {0} is not known here")]
    Function(String),
}
