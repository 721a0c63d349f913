//! Builds the tree of a template. The errors are Go's texts, because Docker shows them.

use super::functions;
use super::lexer::{Kind, Token, tokens};

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    pub(super) name: String,
    pub(super) nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Break,
    Continue,
}

/// Commands joined by `|`, and the variables that take the result.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    pub(super) declares: bool,
    pub(super) commands: Vec<Command>,
}

/// A value, or a function and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) words: Vec<Word>,
    /// Where it stands and how it reads: for error texts.
    pub(super) position: usize,
    pub(super) text: String,
}

#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) kind: WordKind,
    pub(super) position: usize,
    pub(super) text: String,
}

#[derive(Clone, Debug)]
pub(super) enum WordKind {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// `.a.b`
    Fields(Vec<String>),
    /// `$x.a.b`
    Variable(String, Vec<String>),
    Function(String),
    /// `(…).a.b`
    Pipeline(Box<Pipeline>, Vec<String>),
}

impl Template {
    /// Parses `source`. The error is `template: NAME:1: …`.
    pub fn parse(name: &str, source: &str) -> Result<Template, String> {
        let fault = |text: String| {
            let lines = source.lines().count().max(1);
            format!("template: {name}:{lines}: {text}")
        };
        let list = tokens(source).map_err(fault)?;
        let mut parser = Parser {
            tokens: list,
            next: 0,
            source,
            variables: vec!["$".to_string()],
        };
        let (nodes, end) = parser.block().map_err(fault)?;
        if let Some(word) = end {
            return Err(fault(format!("unexpected {{{{{word}}}}}")));
        }
        Ok(Template {
            name: name.to_string(),
            nodes,
        })
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    next: usize,
    source: &'a str,
    variables: Vec<String>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn peek_kind(&self) -> Option<&Kind> {
        self.peek().map(|token| &token.kind)
    }

    fn take(&mut self) -> Option<Token> {
        self.next += 1;
        self.tokens.get(self.next - 1).cloned()
    }

    /// Nodes up to `{{end}}` or `{{else`; the word that ended them.
    fn block(&mut self) -> Result<(Vec<Node>, Option<String>), String> {
        let mut nodes = Vec::new();
        while let Some(token) = self.take() {
            match token.kind {
                Kind::Text(text) => nodes.push(Node::Text(text)),
                _ => {
                    let keyword = match self.peek_kind() {
                        Some(Kind::Word(word)) => word.clone(),
                        _ => String::new(),
                    };
                    match keyword.as_str() {
                        "end" | "else" => {
                            self.take();
                            return Ok((nodes, Some(keyword)));
                        }
                        "if" | "with" | "range" => nodes.push(self.control(&keyword)?),
                        "break" | "continue" => {
                            self.take();
                            self.close()?;
                            nodes.push(if keyword == "break" {
                                Node::Break
                            } else {
                                Node::Continue
                            });
                        }
                        "define" | "template" | "block" => {
                            return Err(format!("{{{{{keyword}}}}} is not supported"));
                        }
                        _ => {
                            nodes.push(Node::Action(self.pipeline("command")?));
                            self.close()?;
                        }
                    }
                }
            }
        }
        Ok((nodes, None))
    }

    fn close(&mut self) -> Result<(), String> {
        match self.take() {
            Some(Token {
                kind: Kind::Close, ..
            }) => Ok(()),
            Some(token) => Err(format!("unexpected {} in command", self.shown(&token))),
            None => Err("unclosed action".to_string()),
        }
    }

    fn shown(&self, token: &Token) -> String {
        match &token.kind {
            Kind::Sign(sign) => format!("{sign:?}"),
            Kind::Field(name) => format!("<.{name}>"),
            Kind::Word(name) | Kind::Number(name) | Kind::Variable(name) => format!("{name:?}"),
            Kind::Quoted(text) => format!("{:?}", format!("{text:?}")),
            Kind::Dot => "<.>".to_string(),
            Kind::Close => "\"}}\"".to_string(),
            Kind::Open => "\"{{\"".to_string(),
            Kind::Text(text) => format!("{text:?}"),
        }
    }

    fn control(&mut self, keyword: &str) -> Result<Node, String> {
        self.take();
        let known = self.variables.len();
        let pipeline = self.pipeline(keyword)?;
        self.close()?;
        let (body, end) = self.block()?;
        let mut other = Vec::new();
        match end.as_deref() {
            Some("else") => {
                // `{{else if …}}` is an if inside the else, with one end for both.
                if let Some(Kind::Word(word)) = self.peek_kind()
                    && matches!(word.as_str(), "if" | "with")
                {
                    let word = word.clone();
                    other.push(self.control(&word)?);
                } else {
                    self.close()?;
                    let (nodes, end) = self.block()?;
                    if end.as_deref() != Some("end") {
                        return Err(end.map_or("unexpected EOF".to_string(), |_| {
                            "expected end; found {{else}}".to_string()
                        }));
                    }
                    self.close()?;
                    other = nodes;
                }
            }
            Some(_) => self.close()?,
            None => return Err("unexpected EOF".to_string()),
        }
        self.variables.truncate(known);
        Ok(match keyword {
            "if" => Node::If(pipeline, body, other),
            "with" => Node::With(pipeline, body, other),
            _ => Node::Range(pipeline, body, other),
        })
    }

    fn pipeline(&mut self, context: &str) -> Result<Pipeline, String> {
        let (variables, declares) = self.declaration(context);
        let mut commands = Vec::new();
        loop {
            let command = self.command()?;
            if command.words.is_empty() {
                return Err(format!("missing value for {context}"));
            }
            commands.push(command);
            if self.peek_kind() == Some(&Kind::Sign("|")) {
                self.take();
                // Go lets a pipe stand at the end.
                if self.peek_kind() != Some(&Kind::Close) {
                    continue;
                }
            }
            if declares {
                self.variables.extend(variables.iter().cloned());
            }
            return Ok(Pipeline {
                variables,
                declares,
                commands,
            });
        }
    }

    /// `$x :=`, `$x =`, and in a range `$k, $v :=`.
    fn declaration(&mut self, context: &str) -> (Vec<String>, bool) {
        let at = |offset: usize| {
            self.tokens
                .get(self.next + offset)
                .map(|token| token.kind.clone())
        };
        let Some(Kind::Variable(first)) = at(0) else {
            return (Vec::new(), false);
        };
        match (at(1), at(2), at(3)) {
            (Some(Kind::Sign(sign @ (":=" | "="))), ..) => {
                self.next += 2;
                (vec![first], sign == ":=")
            }
            (
                Some(Kind::Sign(",")),
                Some(Kind::Variable(second)),
                Some(Kind::Sign(sign @ (":=" | "="))),
            ) if context == "range" => {
                self.next += 4;
                (vec![first, second], sign == ":=")
            }
            _ => (Vec::new(), false),
        }
    }

    fn command(&mut self) -> Result<Command, String> {
        let start = self
            .peek()
            .map_or(self.source.len(), |token| token.position);
        let mut words = Vec::new();
        while let Some(word) = self.word()? {
            words.push(word);
        }
        let text = words
            .iter()
            .map(|word: &Word| word.text.clone())
            .collect::<Vec<_>>()
            .join(" ");
        Ok(Command {
            words,
            position: start,
            text,
        })
    }

    fn word(&mut self) -> Result<Option<Word>, String> {
        let Some(token) = self.peek().cloned() else {
            return Err("unclosed action".to_string());
        };
        let kind = match &token.kind {
            Kind::Dot => WordKind::Dot,
            Kind::Field(name) => WordKind::Fields(vec![name.clone()]),
            Kind::Variable(name) => {
                if !self.variables.contains(name) {
                    return Err(format!("undefined variable {name:?}"));
                }
                WordKind::Variable(name.clone(), Vec::new())
            }
            Kind::Word(word) => match word.as_str() {
                "true" | "false" => WordKind::Bool(word == "true"),
                "nil" => WordKind::Nil,
                name if functions::is_known(name) => WordKind::Function(name.to_string()),
                name => return Err(format!("function {name:?} not defined")),
            },
            Kind::Quoted(text) => WordKind::Text(text.clone()),
            Kind::Number(text) => number(text)?,
            Kind::Sign("(") => {
                self.take();
                let pipeline = self.pipeline("parenthesized pipeline")?;
                if self.peek_kind() != Some(&Kind::Sign(")")) {
                    return Err("unclosed left paren".to_string());
                }
                WordKind::Pipeline(Box::new(pipeline), Vec::new())
            }
            Kind::Close | Kind::Sign("|" | ")") => return Ok(None),
            _ => return Err(format!("unexpected {} in operand", self.shown(&token))),
        };
        self.take();
        self.chain(kind, token.position)
    }

    /// Fields that follow without a blank.
    fn chain(&mut self, mut kind: WordKind, start: usize) -> Result<Option<Word>, String> {
        let mut position = start;
        let mut first = true;
        while let Some(Token {
            kind: Kind::Field(name),
            position: at,
            spaced: false,
        }) = self.peek().cloned()
        {
            match &mut kind {
                WordKind::Fields(fields)
                | WordKind::Variable(_, fields)
                | WordKind::Pipeline(_, fields) => fields.push(name),
                WordKind::Dot => kind = WordKind::Fields(vec![name]),
                _ => {
                    return Err(format!(
                        "unexpected . after term {:?}",
                        &self.source[start..at]
                    ));
                }
            }
            // Go reports a chain where its second part is.
            if std::mem::take(&mut first) {
                position = at;
            }
            self.take();
        }
        let end = self
            .tokens
            .get(self.next)
            .map_or(self.source.len(), |token| token.position);
        let text = self.source[start..end].trim_end().to_string();
        Ok(Some(Word {
            kind,
            position,
            text,
        }))
    }
}

fn number(text: &str) -> Result<WordKind, String> {
    if let Ok(value) = crate::number::integer(text) {
        return Ok(WordKind::Int(value));
    }
    text.parse()
        .map(WordKind::Float)
        .map_err(|_| format!("bad number syntax: {text:?}"))
}
