//! Traces as graphs, for looking at a search: Graphviz's DOT and Mermaid.

use std::collections::HashMap;
use std::fmt::{Display, Write};
use std::hash::Hash;

use crate::{Event, Trace};

/// What a graph shows of one path.
struct Node {
    /// Parent and probability of the last thought.
    parent: Option<(usize, Option<f64>)>,
    thought: String,
    entropy: Option<f64>,
    note: Option<String>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Seen,
    Scored,
    Best,
    Dead,
    Dropped,
}

impl<T: Clone + Eq + Hash + Display> Trace<T> {
    /// The search as a graph in Graphviz's DOT language: `dot -Tsvg`.
    ///
    /// A node is a path that the search stepped onto, with its last thought, the entropy of what follows and how it ended;
    /// an edge bears the probability of the thought. The path with the best score is bold and green, others that were scored are green, dead
    /// ends red, paths that were not followed grey.
    ///
    /// ```
    /// use scaletot_search::{Answer, Budget, Problem, Search, Strategy, drive};
    ///
    /// struct Coin;
    /// impl Problem for Coin {
    ///     type Thought = &'static str;
    ///     fn depth(&self) -> usize { 1 }
    ///     fn is_complete(&self, path: &[&'static str]) -> bool { path.len() == 1 }
    /// }
    ///
    /// let mut search = Search::new(Coin, Strategy::Greedy, Budget::default(), 0)?;
    /// drive(&mut search, |_| Answer::exact(vec![("heads", 0.75), ("tails", 0.25)]))?;
    /// assert!(search.trace().to_dot().contains("n0 -> n1 [label=\"0.75\"]"));
    /// assert!(search.trace().to_mermaid().contains("n0 -- 0.75 --> n1"));
    /// # Ok::<(), scaletot_search::Error>(())
    /// ```
    #[must_use]
    pub fn to_dot(&self) -> String {
        let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let mut out = String::from("digraph search {\n  node [shape=box, fontname=\"sans-serif\"];\n");
        for (at, node) in self.nodes().iter().enumerate() {
            let style = match node.kind {
                Kind::Seen => "",
                Kind::Scored => ", color=\"#2e7d32\"",
                Kind::Best => ", color=\"#2e7d32\", penwidth=3",
                Kind::Dead => ", color=\"#c62828\"",
                Kind::Dropped => ", color=\"#9e9e9e\", fontcolor=\"#757575\"",
            };
            let label = node.lines().iter().map(|line| escape(line)).collect::<Vec<_>>().join("\\n");
            let _ = writeln!(out, "  n{at} [label=\"{label}\"{style}];");
            if let Some((parent, probability)) = node.parent {
                let label = probability.map_or_else(String::new, |p| format!(" [label=\"{p:.2}\"]"));
                let _ = writeln!(out, "  n{parent} -> n{at}{label};");
            }
        }
        out.push_str("}\n");
        out
    }

    /// The search as a Mermaid flowchart, as Markdown viewers draw it; it shows what [`to_dot`](Self::to_dot) shows.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let escape = |text: &str| {
            let entity = |c: char| match c {
                '"' => "#quot;".to_owned(),
                '<' => "#lt;".to_owned(),
                '>' => "#gt;".to_owned(),
                '&' => "#amp;".to_owned(),
                '#' => "#35;".to_owned(),
                '`' => "#96;".to_owned(),
                '\n' => " ".to_owned(),
                c => c.to_string(),
            };
            text.chars().map(entity).collect::<String>()
        };
        let mut out = String::from("flowchart TD\n");
        for (at, node) in self.nodes().iter().enumerate() {
            let label = node.lines().iter().map(|line| escape(line)).collect::<Vec<_>>().join("<br/>");
            let class = match node.kind {
                Kind::Seen => "",
                Kind::Scored => ":::scored",
                Kind::Best => ":::best",
                Kind::Dead => ":::dead",
                Kind::Dropped => ":::dropped",
            };
            let _ = writeln!(out, "  n{at}[\"{label}\"]{class}");
            if let Some((parent, probability)) = node.parent {
                let edge = probability.map_or_else(|| "-->".to_owned(), |p| format!("-- {p:.2} -->"));
                let _ = writeln!(out, "  n{parent} {edge} n{at}");
            }
        }
        out.push_str("  classDef scored stroke:#2e7d32\n  classDef best stroke:#2e7d32,stroke-width:4px\n");
        out.push_str("  classDef dead stroke:#c62828\n  classDef dropped stroke:#9e9e9e,color:#757575\n");
        out
    }

    /// The paths that the search stepped onto, parents before children.
    fn nodes(&self) -> Vec<Node> {
        let mut graph = Graph { nodes: vec![Node::new("start".to_owned(), None)], at: HashMap::new() };
        graph.at.insert(Vec::new(), 0);
        let mut probabilities: HashMap<Vec<T>, HashMap<T, f64>> = HashMap::new();
        let mut best: Option<(usize, f64)> = None;
        for event in self.events() {
            match event {
                Event::Opened { query, .. } => {
                    graph.find(query.path(), &probabilities);
                }
                Event::Expanded { path, distribution, entropy, .. } => {
                    let at = graph.find(path, &probabilities);
                    graph.nodes[at].entropy = Some(*entropy);
                    probabilities.insert(path.clone(), distribution.iter().cloned().collect());
                }
                Event::Scored { path, score } => {
                    let at = graph.find(path, &probabilities);
                    graph.nodes[at].end(Kind::Scored, format!("J = {:.3}", score.total));
                    if best.is_none_or(|(_, top)| score.total > top) {
                        best = Some((at, score.total));
                    }
                }
                Event::Died { path, reason } => {
                    let at = graph.find(path, &probabilities);
                    graph.nodes[at].end(Kind::Dead, format!("dead: {reason}"));
                }
                Event::Merged { path, .. } => {
                    let at = graph.find(path, &probabilities);
                    graph.nodes[at].end(Kind::Dropped, "merged".to_owned());
                }
                Event::Selected { dropped, .. } => {
                    for path in dropped {
                        let at = graph.find(path, &probabilities);
                        graph.nodes[at].end(Kind::Dropped, "not followed".to_owned());
                    }
                }
                Event::Cut { path, bound } => {
                    let at = graph.find(path, &probabilities);
                    graph.nodes[at].end(Kind::Dropped, format!("cut: {bound}"));
                }
                _ => {}
            }
        }
        if let Some((at, _)) = best {
            graph.nodes[at].kind = Kind::Best;
        }
        graph.nodes
    }
}

struct Graph<T> {
    nodes: Vec<Node>,
    at: HashMap<Vec<T>, usize>,
}

impl<T: Clone + Eq + Hash + Display> Graph<T> {
    /// The node of a path, made together with those on the way to it where it is new.
    fn find(&mut self, path: &[T], probabilities: &HashMap<Vec<T>, HashMap<T, f64>>) -> usize {
        let mut parent = 0;
        for depth in 1..=path.len() {
            let prefix = &path[..depth];
            parent = match self.at.get(prefix) {
                Some(at) => *at,
                None => {
                    let thought = &prefix[depth - 1];
                    let probability = probabilities.get(&prefix[..depth - 1]).and_then(|of| of.get(thought));
                    self.nodes.push(Node::new(thought.to_string(), Some((parent, probability.copied()))));
                    self.at.insert(prefix.to_vec(), self.nodes.len() - 1);
                    self.nodes.len() - 1
                }
            };
        }
        parent
    }
}

impl Node {
    fn new(thought: String, parent: Option<(usize, Option<f64>)>) -> Self {
        Node { parent, thought, entropy: None, note: None, kind: Kind::Seen }
    }

    fn end(&mut self, kind: Kind, note: String) {
        self.kind = kind;
        self.note = Some(note);
    }

    fn lines(&self) -> Vec<String> {
        let entropy = self.entropy.map(|h| format!("h = {h:.2}"));
        std::iter::once(self.thought.clone()).chain(entropy).chain(self.note.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Answer, Budget, DfsConfig, Problem, Query, Search, Strategy, drive};

    /// Two letters; `b` leads nowhere.
    struct Letters;

    impl Problem for Letters {
        type Thought = String;
        fn depth(&self) -> usize {
            2
        }
        fn is_complete(&self, path: &[String]) -> bool {
            path.len() == 2
        }
        fn evaluates(&self) -> bool {
            true
        }
    }

    fn search() -> Search<Letters> {
        let strategy = Strategy::Dfs(DfsConfig::default().with_threshold(0.3));
        let mut search = Search::new(Letters, strategy, Budget::default(), 0).unwrap();
        drive(&mut search, |query| match query.path() {
            [] => Answer::exact(vec![("a \"quoted\"".into(), 0.5), ("b".into(), 0.3), ("c".into(), 0.2)]),
            [last] if matches!(query, Query::Evaluate { .. }) => {
                let value = if last == "b" {
                    0.0
                } else if last == "c" {
                    0.2
                } else {
                    0.8
                };
                Answer::value(value)
            }
            [_] => Answer::exact(vec![("<x>".into(), 1.0)]),
            _ => Answer::value(0.9),
        })
        .unwrap();
        search
    }

    #[test]
    fn a_graph_shows_every_path_and_its_end() {
        let dot = search().trace().to_dot();
        assert!(dot.contains("n1 [label=\"a \\\"quoted\\\"\\nh = 0.00\"];"), "{dot}");
        assert!(dot.contains("n0 -> n1 [label=\"0.50\"];"));
        assert!(dot.contains("[label=\"b\\ndead: evaluated as 0\", color=\"#c62828\"]"));
        assert!(dot.contains("[label=\"c\\nnot followed\""));
        assert!(dot.contains("penwidth=3"));
        // Four thoughts and the start; each but the start has an edge.
        assert_eq!((dot.matches("[label=").count(), dot.matches("->").count()), (5 + 4, 4));
    }

    #[test]
    fn mermaid_keeps_its_syntax_whatever_a_thought_says() {
        let mermaid = search().trace().to_mermaid();
        assert!(mermaid.starts_with("flowchart TD\n  n0[\"start<br/>h = "), "{mermaid}");
        assert!(mermaid.contains("n1[\"a #quot;quoted#quot;<br/>h = 0.00\"]"));
        assert!(mermaid.contains("#lt;x#gt;<br/>J = "));
        assert!(mermaid.contains(":::best"));
    }
}
