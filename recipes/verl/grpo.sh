#!/bin/sh
# GRPO by veRL 0.9.1 on rows of `thinkseg data prepare --schema verl`, scored by ThinkSeg. Not run here: it needs GPUs.
# One node:       MODEL=… ROWS=rows sh grpo.sh
# Several nodes:  start Ray on each (several_nodes.sbatch does), then on the first: NODES=2 MODEL=… ROWS=rows sh grpo.sh
# Masks:          REWARDS=seg-r1 SEGMENTER=http://HOST:8000 lets all reward workers share the one SAM 2 of `thinkseg serve`.
# What stands behind the command is handed to veRL: sh grpo.sh trainer.total_epochs=3
set -eu
: "${MODEL:=Qwen/Qwen2.5-VL-7B-Instruct}"  # the model that the rows were prepared for
: "${ROWS:=rows}"                          # folder of train-*.parquet and, for validation, val-*.parquet
: "${REWARDS:=seg-zero}"                   # published rewards by name, or a file with 'format' and 'rewards'
: "${SEGMENTER:=}"                         # for rewards that look at masks
: "${NODES:=1}" "${GPUS:=8}"
: "${OUT:=checkpoints/thinkseg}"

files() { # the files of a split as a list, in veRL's words
	printf '['
	ls "$ROWS/$1"-*.parquet | paste -sd, -
	printf ']'
}
TRAIN=$(files train | tr -d '\n')
VALID=$TRAIN
ls "$ROWS"/val-*.parquet >/dev/null 2>&1 && VALID=$(files val | tr -d '\n')

exec "${PYTHON:-python3}" -m verl.trainer.main_ppo \
	algorithm.adv_estimator=grpo \
	algorithm.use_kl_in_reward=False \
	data.train_files="$TRAIN" \
	data.val_files="$VALID" \
	data.train_batch_size=128 \
	data.max_prompt_length=2048 \
	data.max_response_length=1300 \
	data.filter_overlong_prompts=True \
	data.truncation=error \
	data.image_key=images \
	actor_rollout_ref.model.path="$MODEL" \
	actor_rollout_ref.model.use_remove_padding=True \
	actor_rollout_ref.model.enable_gradient_checkpointing=True \
	actor_rollout_ref.actor.optim.lr=1e-6 \
	actor_rollout_ref.actor.ppo_mini_batch_size=64 \
	actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=2 \
	actor_rollout_ref.actor.use_kl_loss=True \
	actor_rollout_ref.actor.kl_loss_coef=0.005 \
	actor_rollout_ref.actor.kl_loss_type=low_var_kl \
	actor_rollout_ref.rollout.name=vllm \
	actor_rollout_ref.rollout.n=8 \
	actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
	actor_rollout_ref.rollout.gpu_memory_utilization=0.6 \
	actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=4 \
	actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=4 \
	reward.custom_reward_function.path=pkg://thinkseg.integrations.verl \
	reward.custom_reward_function.name=compute_score \
	+reward.custom_reward_function.reward_kwargs.recipe="$REWARDS" \
	${SEGMENTER:++reward.custom_reward_function.reward_kwargs.segmenter="$SEGMENTER"} \
	trainer.nnodes="$NODES" \
	trainer.n_gpus_per_node="$GPUS" \
	trainer.project_name=thinkseg \
	trainer.experiment_name=grpo \
	trainer.default_local_dir="$OUT" \
	trainer.logger='[console]' \
	trainer.save_freq=50 \
	trainer.test_freq=50 \
	trainer.total_epochs=1 \
	"$@"
