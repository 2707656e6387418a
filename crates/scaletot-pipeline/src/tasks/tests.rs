//! Every shipped task reads, its files fit each other, and tables in the published form load.

mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use scaletot_profile::{FieldKind, LevelConfig, LevelRule, UserIds, Value, Verbaliser};
use scaletot_teacher::{Prompter, Reasoner};

use self::tables::{HILLSTROM, bank, gzipped, hillstrom, kuairand, write};
use super::*;

/// What an error says, with its causes.
fn refusal<T: fmt::Debug>(result: Result<T>) -> String {
    crate::causes(&result.unwrap_err())
}

#[cfg(unix)]
#[test]
fn a_pipe_or_device_in_the_place_of_a_tasks_files_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe.as_path(), std::path::Path::new("/dev/zero")] {
        let errors = [Task::read(path).unwrap_err(), TaskFile::at(path).read().unwrap_err()];
        for error in errors.map(|error| crate::error::causes(&error)) {
            assert!(error.contains("expected a regular file"), "{error}");
        }
    }
}

#[test]
fn what_is_listed_is_what_is_shipped() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(DIRECTORY);
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let there: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(there, SHIPPED.map(str::to_owned).into());
}

#[test]
fn shipped_tasks_read_and_their_files_fit_each_other() {
    for name in SHIPPED {
        let task = Task::find(name).unwrap();
        assert_eq!(task.name, name);
        let schema = task.profile_schema().unwrap();
        let chain = task.chain.chain_schema().unwrap();
        let rules = task.rules.as_ref().unwrap().rules(&schema, &chain).unwrap();
        assert!(rules.len() > 20, "{name}: {rules:?}");
        assert!((4..=5).contains(&chain.len()), "{name}");
        for state in chain.states() {
            assert!(state.ordinal() && (3..=5).contains(&state.values().len()), "{name}: {}", state.name());
            assert!(state.cue().starts_with("this "), "{name}: {}", state.cue());
            let firsts: BTreeSet<&str> = state.values().iter().map(String::as_str).collect();
            assert_eq!(firsts.len(), state.values().len());
        }
        for path in task.answers.iter().chain(&task.source.table) {
            assert!(path.exists() && path.embedded_bytes().is_some(), "{name}: {path}");
        }
        assert!(!task.leaks.is_empty() && !task.notes.is_empty(), "{name}");
        assert!(task.leaks.iter().all(|leak| schema.field_index(leak).is_none()), "{name}");
    }
}

#[test]
fn every_shipped_rules_file_says_that_it_was_written_before_outcomes_were_looked_at() {
    for name in SHIPPED {
        let bytes = Task::find(name).unwrap().rules.unwrap().read().unwrap();
        let comment: String =
            String::from_utf8_lossy(&bytes).lines().map_while(|line| line.strip_prefix('#')).collect();
        for said in ["before any outcome of this data was looked at", "never fitted", "expert's opinion"] {
            assert!(comment.contains(said), "{name}: {comment}");
        }
    }
}

#[test]
fn no_prompt_mentions_an_anonymised_code() {
    let schema = Task::find("kuairand-days").unwrap().profile_schema().unwrap();
    let codes = schema.fields().iter().filter(|field| field.name().starts_with("onehot_feat"));
    assert_eq!(codes.clone().count(), 18);
    for field in codes {
        let FieldKind::Categorical(domain) = field.kind() else { panic!("{}", field.name()) };
        assert!(domain.bucket().is_some(), "{}", field.name());
        assert!(domain.values().iter().all(|value| domain.word(value) == Some("")), "{}", field.name());
        assert_eq!(
            domain.words().len(),
            domain.values().len(),
            "{}: the bucket must have no words",
            field.name()
        );
    }
}

#[test]
fn unknown_names_list_the_shipped_tasks() {
    let error = refusal(Task::find("kuairand"));
    for name in SHIPPED {
        assert!(error.contains(name), "{error}");
    }
    assert!(error.contains("found `kuairand`"), "{error}");
    let error = refusal(Task::find("no/such/task.toml"));
    assert!(error.contains("cannot open no/such/task.toml"), "{error}");
}

#[test]
fn the_embedded_table_loads() {
    let population = Task::find("complete-journey").unwrap().load(None).unwrap();
    assert_eq!(population.dataset.table().len(), 2469);
    assert_eq!(population.dataset.segments().len(), 3);
    assert!(population.dataset.outcomes().iter().all(Option::is_some));
    assert!(population.dataset.groups().is_none() && population.dataset.arm().is_none());
    assert!(population.answers.as_ref().is_some_and(TaskFile::exists));
}

#[test]
fn hillstrom_loads_from_the_published_file_plain_and_gzipped() {
    let directory = tempfile::tempdir().unwrap();
    let plain = write(directory.path().join(HILLSTROM), &hillstrom(30));
    let packed = directory.path().join("packed.csv.gz");
    gzipped(&packed, &hillstrom(30));
    let task = Task::find("hillstrom-visit").unwrap();
    let from_directory = task.load(Some(directory.path())).unwrap();
    for path in [&plain, &packed] {
        let population = task.load(Some(path)).unwrap();
        assert_eq!(population.dataset.table(), from_directory.dataset.table());
        assert_eq!(population.further_outcomes, from_directory.further_outcomes);
    }
    let population = from_directory;
    assert_eq!(population.dataset.table().ids(), &UserIds::Int((1..=30).collect()));
    assert_eq!(population.dataset.outcomes(), vec![Some(1.0); 30]);
    assert_eq!(population.dataset.segments().names(), ["1) $0 - $100", "2) $100 - $200"]);
    assert_eq!(population.dataset.arm().unwrap()[..3], [Some(true), Some(false), Some(true)]);
    assert_eq!(population.further_outcomes.keys().collect::<Vec<_>>(), ["conversion", "spend"]);
    assert_eq!(population.further_outcomes["spend"].outcome(5), Some(29.5));
    // The recorded answers are to prompts of this rule.
    assert_eq!(task.level_config(), LevelConfig::new(5).with_rule(LevelRule::QuantileBins));
    let verbaliser = Verbaliser::fit(population.dataset.table(), task.level_config()).unwrap();
    let rendered = verbaliser.render(population.dataset.table(), 0);
    let end = "who lives in a suburban area, who has been a customer for more than a year, \
               who orders both by phone and on the web";
    assert!(rendered.ends_with(end), "{rendered}");

    let spend = Task::find("hillstrom-spend").unwrap().load(Some(&plain)).unwrap();
    assert_eq!(spend.dataset.outcomes()[..2], [Some(29.5), Some(0.0)]);
}

#[test]
fn a_cut_gzip_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cut.csv.gz");
    gzipped(&path, &hillstrom(3000));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = refusal(Task::find("hillstrom-visit").unwrap().load(Some(&path)));
    assert!(error.contains("cut.csv.gz"), "{error}");
}

#[test]
fn bank_loads_from_a_table_that_was_made_from_the_published_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path().join("clients.csv"), &bank(60));
    let task = Task::find("bank-deposit").unwrap();
    let population = task.load(Some(&path)).unwrap();
    let table = population.dataset.table();
    assert_eq!((table.len(), table.schema().fields().len()), (60, 8));
    // What the publisher calls unknown is missing; nobody is below 0 in anything but money.
    assert_eq!((table.populated(0), table.populated(1)), (8, 6));
    let outcomes: Vec<f64> = population.dataset.outcomes().iter().map(|outcome| outcome.unwrap()).collect();
    assert_eq!(outcomes.iter().sum::<f64>(), 5.0);
    let words = Verbaliser::fit(table, task.level_config()).unwrap().render(table, 0);
    assert!(words.starts_with("A client of a bank who is ") && words.contains("is a manager"), "{words}");
    assert!(words.contains("no housing loan") && !words.contains("failed to pay"), "{words}");
    assert!(refusal(task.load(None)).contains("archive.ics.uci.edu"));
}

#[test]
fn kuairand_loads_from_the_published_files() {
    let directory = tempfile::tempdir().unwrap();
    // As the archive unpacks.
    fs::create_dir(directory.path().join("data")).unwrap();
    kuairand(&directory.path().join("data"));
    let days = Task::find("kuairand-days").unwrap().load(Some(directory.path())).unwrap();
    assert_eq!(
        days.dataset.table().ids(),
        &UserIds::Int(vec![1, 4]),
        "user 2 is active, user 3 has no profile"
    );
    assert_eq!(days.dataset.outcomes(), [Some(2.0), Some(0.0)]);
    assert_eq!(days.dataset.segments().names(), ["(10,50]"]);
    let play = Task::find("kuairand-play").unwrap().load(Some(directory.path())).unwrap();
    assert_eq!(play.dataset.outcomes(), [Some(4.5), Some(0.0)]);

    // -124 is missing, 1.0 is the code 1, and a missing code stays missing.
    let field = |name| days.dataset.table().schema().field_index(name).unwrap();
    assert_eq!(days.dataset.table().value(0, field("is_live_streamer")), None);
    let code =
        days.dataset.table().schema().fields()[field("onehot_feat4")].kind().domain().unwrap().code_of("1");
    assert_eq!(days.dataset.table().value(0, field("onehot_feat4")), code.map(Value::Code));
    assert_eq!(days.dataset.table().value(1, field("onehot_feat4")), None);
}

#[test]
fn missing_files_are_named_with_where_they_are_offered() {
    let directory = tempfile::tempdir().unwrap();
    let hillstrom = Task::find("hillstrom-visit").unwrap();
    let nothing = refusal(hillstrom.load(None));
    let empty = refusal(hillstrom.load(Some(directory.path())));
    let wrong = refusal(hillstrom.load(Some(&directory.path().join("no.csv"))));
    for error in [nothing, empty, wrong] {
        assert!(error.contains(HILLSTROM) && error.contains("blog.minethatdata.com"), "{error}");
    }
    kuairand(directory.path());
    fs::remove_file(directory.path().join("log_standard_4_22_to_5_08_pure.csv.gz")).unwrap();
    let error = refusal(Task::find("kuairand-play").unwrap().load(Some(directory.path())));
    assert!(error.contains("no `log_standard_4_22_to_5_08_pure.csv`"), "{error}");
    assert!(error.contains("https://kuairand.com") && error.contains("CC BY-SA 4.0"), "{error}");
    let odd = write(directory.path().join("table.xlsx"), "");
    let error = refusal(hillstrom.load(Some(&odd)));
    assert!(error.contains("expected a table in a .parquet, .csv or .csv.gz file"), "{error}");
}

/// A task over three columns, with `replaced` put in place of a part of its text.
fn shop(directory: &Path, part: &str, replaced: &str, columns: &[&str]) -> Result<Task> {
    let fields: String =
        columns.iter().map(|name| format!("[[field]]\nname = {name:?}\nkind = \"numeric\"\n")).collect();
    write(directory.join("p.toml"), &format!("name = \"shop\"\nid = \"id\"\n{fields}"));
    write(
        directory.join("c.toml"),
        "name = \"shop\"\n[[state]]\nname = \"spend\"\nkind = \"ordinal\"\nvalues = [\"low\", \"high\"]\n",
    );
    write(
        directory.join("shop.csv"),
        "id,income,tier,spend,visits,before,house,arm\n\
         1,10,a,5,1,2,h1,mail\n2,20,b,0,0,0,h2,none\n3,30,a,,1,3,,call\n4,40,b,7,,9,h1,none\n5,50,,1,1,1,,mail\n",
    );
    let text = r#"
        name = "shop"
        title = "Spending"
        outcome = "spend"
        unit = "EUR"
        segment = "tier"
        profile = "p.toml"
        chain = "c.toml"
        rules = "r.toml"
        group = "house"
        leaks = ["before"]
        [source]
        publisher = "the shop"
        offered = "nowhere"
        licence = "none"
        table = "shop.csv"
        [experiment]
        arm = "arm"
        control = "none"
        treatment = "a letter"
        treated = ["mail"]
        outcomes = ["visits"]
    "#;
    assert!(text.contains(part), "{part}");
    Task::from_toml(&text.replace(part, replaced), directory)
}

#[test]
fn a_task_of_ones_own_loads_with_groups_and_arms() {
    let directory = tempfile::tempdir().unwrap();
    let task = shop(directory.path(), "EUR", "EUR", &["income"]).unwrap();
    write(directory.path().join("shop.toml"), "name = 1");
    let error = refusal(Task::find(&directory.path().join("shop.toml").to_string_lossy()));
    assert!(error.contains("expected a task in TOML"), "{error}");

    let population = task.load(None).unwrap();
    assert_eq!(population.dataset.outcomes(), [Some(5.0), Some(0.0), None, Some(7.0), Some(1.0)]);
    assert_eq!(population.dataset.groups(), Some(&[0, 1, 2, 0, 3][..]));
    assert_eq!(population.dataset.segments().names(), ["a", "b", "unknown"]);
    assert_eq!(population.dataset.arm().unwrap(), [Some(true), Some(false), None, Some(false), Some(true)]);
    assert_eq!(
        population.further_outcomes["visits"].outcomes(),
        [Some(1.0), Some(0.0), Some(1.0), None, Some(1.0)]
    );

    let keep = "[source]";
    let b = shop(directory.path(), keep, "[keep]\ncolumn = \"visits2\"\nequals = 1\n[source]", &["income"])
        .unwrap();
    assert!(refusal(b.load(None)).contains("visits2"));
    let some = shop(
        directory.path(),
        "group = \"house\"",
        "keep = { column = \"house\", equals = \"h1\" }",
        &["income"],
    );
    let some = some.unwrap().load(None).unwrap();
    assert_eq!(some.dataset.table().ids(), &UserIds::Int(vec![1, 4]));
    assert_eq!(some.dataset.outcomes(), [Some(5.0), Some(7.0)]);
    let none =
        shop(directory.path(), "group = \"house\"", "keep = { column = \"house\", equals = 3 }", &["income"]);
    let error = refusal(none.unwrap().load(None));
    assert!(error.ends_with("shop.csv: task `shop`: none of 5 users has house = 3"), "{error}");
}

#[test]
fn what_nothing_uses_may_be_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let segment = |task: &Task| task.load(None).unwrap().dataset.segments().clone();
    // A segment that is a profile field tells nothing that the profile does not.
    let mut task = shop(directory.path(), "EUR", "EUR", &["income", "visits2"]).unwrap();
    task.segment = Some("income".to_owned());
    task.profile = shop(directory.path(), "EUR", "EUR", &["income"]).unwrap().profile;
    assert_eq!(segment(&task).names(), ["10", "20", "30", "40", "50"]);

    let least = r#"
        name = "shop"
        title = "Spending"
        outcome = "spend"
        profile = "p.toml"
        chain = "c.toml"
        source = { table = "shop.csv" }
    "#;
    let task = Task::from_toml(least, directory.path()).unwrap();
    assert_eq!((task.levels, task.unit.as_str(), task.leaks.len()), (5, "units", 0));
    assert_eq!(task.source.to_string(), "a table of one's own");
    assert_eq!(segment(&task).names(), ["all"]);
    let error = refusal(task.load(None).unwrap().teacher());
    assert!(error.contains("neither recorded answers (`answers`) nor rules (`rules`)"), "{error}");
}

#[test]
fn leaks_and_outcomes_in_a_profile_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (field, what) in [
        ("before", "field `before` is among the leaks of task `shop`"),
        ("spend", "field `spend` is the outcome"),
        ("visits", "field `visits` is the further outcome"),
        ("house", "field `house` is the group"),
        ("arm", "field `arm` is the experiment's arm"),
    ] {
        let error = shop(directory.path(), "EUR", "EUR", &["income", field]).unwrap().load(None).unwrap_err();
        let error = crate::causes(&error);
        assert!(error.contains(what) && error.contains("p.toml"), "{error}");
    }
    for name in SHIPPED {
        let mut task = Task::find(name).unwrap();
        let schema = task.profile_schema().unwrap();
        let leak = task.leaks[0].clone();
        let text = schema.to_toml().unwrap() + &format!("\n[[field]]\nname = {leak:?}\nkind = \"numeric\"\n");
        task.profile = TaskFile::at(write(directory.path().join("leaky.toml"), &text));
        let error = refusal(task.load(None));
        assert!(error.contains(&format!("field `{leak}` is ")), "{error}");
    }
}

#[test]
fn tasks_that_contradict_themselves_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (part, replaced, message) in [
        (
            "segment = \"tier\"",
            "segment = \"spend\"",
            "column `spend` is the outcome, so it cannot be the user segment",
        ),
        (
            "outcomes = [\"visits\"]",
            "outcomes = [\"spend\"]",
            "column `spend` is the further outcome, so it cannot be the outcome",
        ),
        (
            "treated = [\"mail\"]",
            "treated = [\"none\"]",
            "`experiment.treated`: expected arms beside the control, found the control, `none`",
        ),
        ("unit = \"EUR\"", "unit = \"\"", "`unit`: expected a text"),
        ("unit = \"EUR\"", "unit = \"EUR\"\nlevels = 6", "`levels`: expected 2 to 5, found 6"),
        ("table = \"shop.csv\"", "", "`source.files`: expected one file"),
        ("table = \"shop.csv\"", "form = \"kuairand-pure\"", "`source.files`: expected the user table"),
        ("unit = \"EUR\"", "unit = \"EUR\"\nlevel = 5", "unknown field `level`"),
        ("segment = \"tier\"", "segment = \" \"", "`segment`: expected a text"),
    ] {
        let error = refusal(shop(directory.path(), part, replaced, &["income"]));
        assert!(error.contains(message), "{error}");
    }
    let arms = [
        ("control = \"none\"", "control = \"nobody\"", "no user in the control"),
        ("[\"mail\"]", "[\"fax\"]", "no user in the treated arm"),
    ];
    for (part, replaced, message) in arms {
        let error = refusal(shop(directory.path(), part, replaced, &["income"]).unwrap().load(None));
        assert!(error.contains(message) && error.contains("the first arm is"), "{error}");
    }
}

#[test]
fn values_that_are_all_written_in_another_way_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    kuairand(directory.path());
    let users = fs::read_to_string(directory.path().join("user_features_pure.csv")).unwrap();
    let (header, row) = (users.lines().next().unwrap(), users.lines().nth(1).unwrap());
    let prepared = (0..30).map(|id| format!("{id}{},1,3\n", row.strip_prefix('1').unwrap()));
    let prepared = format!("{header},low_activity,lt14_days\n{}", prepared.collect::<String>());
    let path = write(directory.path().join("prepared.csv"), &prepared);
    let error = refusal(Task::find("kuairand-days").unwrap().load(Some(&path)));
    assert!(
        error.contains("prepared.csv: column `onehot_feat4`: none of 30 values is among those"),
        "{error}"
    );
}

#[test]
fn rules_answer_every_question_about_a_small_table() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path().join(HILLSTROM), &hillstrom(40));
    let population = Task::find("hillstrom-spend").unwrap().load(Some(&path)).unwrap();
    let rules = population
        .rules
        .as_ref()
        .unwrap()
        .rules(population.dataset.table().schema(), &population.chain)
        .unwrap();
    let verbaliser = Verbaliser::fit(population.dataset.table(), 5).unwrap();
    let prompter =
        Prompter::new(population.dataset.table().schema(), population.chain.clone(), verbaliser).unwrap();
    let reasoner = Reasoner::builder(rules, prompter).build().unwrap();
    for row in 0..population.dataset.table().len() {
        let record = reasoner.reason(population.dataset.table(), row, 0).unwrap();
        assert!(record.verdict.is_accepted(), "{record:?}");
        assert!(population.chain.is_legal(&record.best.unwrap().values()));
    }
}
