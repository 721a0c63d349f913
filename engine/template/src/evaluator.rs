//! Runs a template on a value.

use super::functions;
use super::parser::{Command, Node, Pipeline, Template, Word, WordKind};
use super::print::plain;
use super::value::Value;

/// How a template treats what is not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A missing key of a map is an error (`missingkey=error`), as in `inspect`.
    pub missing_is_error: bool,
    /// Docker's functions give their argument back: the header of a table is written with the row's template.
    pub header: bool,
}

impl Template {
    /// The text that the template makes of `data`. The error is Go's: `template: :1:2: executing "" at <.X>: …`.
    pub fn execute(&self, data: &Value, options: Options) -> Result<String, String> {
        match self.execute_partly(data, options) {
            (text, None) => Ok(text),
            (_, Some(fault)) => Err(fault),
        }
    }

    /// The same, and in the case of an error the text that was made before it.
    pub fn execute_partly(&self, data: &Value, options: Options) -> (String, Option<String>) {
        let mut run = Run {
            name: &self.name,
            options,
            variables: vec![("$".to_string(), data.clone())],
            output: String::new(),
        };
        let fault = run.nodes(&self.nodes, data).err();
        (run.output, fault)
    }
}

/// Why a body stopped.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Run<'a> {
    name: &'a str,
    options: Options,
    variables: Vec<(String, Value)>,
    output: String,
}

impl Run<'_> {
    fn fault(&self, position: usize, text: &str, problem: &str) -> String {
        // Templates of the command line are one line.
        format!(
            "template: {0}:1:{position}: executing {0:?} at <{text}>: {problem}",
            self.name
        )
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            let flow = match node {
                Node::Text(text) => {
                    self.output.push_str(text);
                    Flow::Next
                }
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        // `null` of plain JSON is an interface without a value, not a nil pointer.
                        self.output.push_str(&match value {
                            Value::Null if self.options.missing_is_error => plain(&Value::Missing),
                            value => plain(&value),
                        });
                    }
                    Flow::Next
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
                Node::If(pipeline, body, other) => {
                    self.branch(pipeline, body, other, dot, false)?
                }
                Node::With(pipeline, body, other) => {
                    self.branch(pipeline, body, other, dot, true)?
                }
                Node::Range(pipeline, body, other) => self.range(pipeline, body, other, dot)?,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn branch(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        other: &[Node],
        dot: &Value,
        moves: bool,
    ) -> Result<Flow, String> {
        let known = self.variables.len();
        let value = self.pipeline(pipeline, dot)?;
        let flow = match (value.is_true(), moves) {
            (true, true) => self.nodes(body, &value),
            (true, false) => self.nodes(body, dot),
            (false, _) => self.nodes(other, dot),
        };
        self.variables.truncate(known);
        flow
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        other: &[Node],
        dot: &Value,
    ) -> Result<Flow, String> {
        let known = self.variables.len();
        let value = self.commands(pipeline, dot)?;
        let items: Vec<(Value, Value)> = match &value {
            Value::List(list) => (0..).map(Value::Int).zip(list.iter().cloned()).collect(),
            Value::Map(entries) => {
                let mut entries = entries.clone();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                entries
                    .into_iter()
                    .map(|(key, value)| (Value::Text(key), value))
                    .collect()
            }
            Value::Int(count) => (0..*count)
                .map(|number| (Value::Int(number), Value::Int(number)))
                .collect(),
            Value::Null | Value::Missing | Value::NilList | Value::NilMap => Vec::new(),
            other => {
                let command = &pipeline.commands[0];
                return Err(self.fault(
                    command.position,
                    &command.text,
                    &format!("range can't iterate over {}", plain(other)),
                ));
            }
        };
        if items.is_empty() {
            return self.nodes(other, dot);
        }
        for (key, item) in items {
            match pipeline.variables.as_slice() {
                [only] => self.assign(only, item.clone(), pipeline.declares),
                [first, second] => {
                    self.assign(first, key, pipeline.declares);
                    self.assign(second, item.clone(), pipeline.declares);
                }
                _ => {}
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            self.assign(name, value.clone(), pipeline.declares);
        }
        Ok(value)
    }

    fn assign(&mut self, name: &str, value: Value, declares: bool) {
        if !declares
            && let Some(variable) = self
                .variables
                .iter_mut()
                .rev()
                .find(|(known, _)| known == name)
        {
            variable.1 = value;
            return;
        }
        self.variables.push((name.to_string(), value));
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut value: Option<Value> = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Value::Null))
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        let first = &command.words[0];
        let rest = &command.words[1..];
        match &first.kind {
            WordKind::Function(name) => {
                if matches!(name.as_str(), "and" | "or") {
                    return self.logic(name, rest, dot, piped);
                }
                let mut arguments = Vec::new();
                for word in rest {
                    arguments.push(self.word(word, dot)?);
                }
                arguments.extend(piped);
                functions::call(name, &arguments, self.options).map_err(|problem| {
                    let problem = if problem.starts_with("wrong ") {
                        problem
                    } else {
                        format!("error calling {name}: {problem}")
                    };
                    self.fault(command.position, &command.text, &problem)
                })
            }
            WordKind::Fields(fields) if !rest.is_empty() || piped.is_some() => {
                let mut arguments = Vec::new();
                for word in rest {
                    arguments.push(self.word(word, dot)?);
                }
                arguments.extend(piped);
                self.method(first, fields, &arguments, dot)
            }
            _ if !rest.is_empty() || piped.is_some() => Err(self.fault(
                first.position,
                &first.text,
                &format!("can't give argument to non-function {}", first.text),
            )),
            _ => self.word(first, dot),
        }
    }

    /// `and` and `or` stop at the first argument that decides.
    fn logic(
        &mut self,
        name: &str,
        words: &[Word],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        let mut last = Value::Null;
        for word in words {
            last = self.word(word, dot)?;
            if last.is_true() == (name == "or") {
                return Ok(last);
            }
        }
        Ok(piped.unwrap_or(last))
    }

    /// `.Label "name"`: the one method that rows have.
    fn method(
        &mut self,
        word: &Word,
        fields: &[String],
        arguments: &[Value],
        dot: &Value,
    ) -> Result<Value, String> {
        if let (Value::Struct(row), [name], [Value::Text(key)]) = (dot, fields, arguments)
            && name == "Label"
            && let Some(labels) = &row.labels
        {
            if self.options.header {
                return Ok(Value::from(header_of_label(key)));
            }
            let found = labels.iter().find(|(label, _)| label == key);
            return Ok(Value::from(found.map_or("", |(_, value)| value.as_str())));
        }
        let name = fields.last().map_or("", String::as_str);
        Err(self.fault(
            word.position,
            &word.text,
            &format!("{name} has arguments but cannot be invoked as function"),
        ))
    }

    fn word(&mut self, word: &Word, dot: &Value) -> Result<Value, String> {
        match &word.kind {
            WordKind::Dot => Ok(dot.clone()),
            WordKind::Nil => Ok(Value::Null),
            WordKind::Bool(yes) => Ok(Value::Bool(*yes)),
            WordKind::Int(number) => Ok(Value::Int(*number)),
            WordKind::Float(number) => Ok(Value::Float(*number)),
            WordKind::Text(text) => Ok(Value::from(text.as_str())),
            WordKind::Fields(fields) => self.fields(word, dot, fields),
            WordKind::Variable(name, fields) => {
                let found = self
                    .variables
                    .iter()
                    .rev()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.clone());
                let value = found.ok_or_else(|| {
                    self.fault(
                        word.position,
                        &word.text,
                        &format!("undefined variable: {name}"),
                    )
                })?;
                self.fields(word, &value, fields)
            }
            WordKind::Function(name) => functions::call(name, &[], self.options)
                .map_err(|problem| self.fault(word.position, &word.text, &problem)),
            WordKind::Pipeline(pipeline, fields) => {
                let value = self.commands(pipeline, dot)?;
                self.fields(word, &value, fields)
            }
        }
    }

    fn fields(&self, word: &Word, value: &Value, fields: &[String]) -> Result<Value, String> {
        let mut value = value;
        for name in fields {
            let found = value.get(name);
            value = match (value, found) {
                (Value::Map(_), Value::Missing) if self.options.missing_is_error => {
                    return Err(self.fault(
                        word.position,
                        &word.text,
                        &format!("map has no entry for key {name:?}"),
                    ));
                }
                (Value::Map(_) | Value::NilMap, found) => found,
                (Value::Null | Value::Missing, _) => {
                    return Err(self.fault(
                        word.position,
                        &word.text,
                        &format!("nil data; no entry for key {name:?}"),
                    ));
                }
                (other, Value::Missing) => {
                    // In plain JSON Go knows no types but `interface {}`.
                    let kind = if self.options.missing_is_error {
                        "interface {}"
                    } else {
                        other.type_name()
                    };
                    let problem = format!("can't evaluate field {name} in type {kind}");
                    return Err(self.fault(word.position, &word.text, &problem));
                }
                (_, found) => found,
            };
        }
        Ok(value.clone())
    }
}

/// The heading of a label's column: its last part, with blanks for dots, dashes and underscores.
fn header_of_label(key: &str) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    last.replace(['-', '_'], " ")
}
