"""The routes under /v1/fine_tuning/jobs."""

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request

from ftkit.service import jobs
from ftkit.service.errors import ApiError, unknown_file, unknown_job, unknown_model
from ftkit.service.limits import Limits
from ftkit.service.paging import Owner, page
from ftkit.service.requests import JobRequest
from ftkit.service.store import Store


def routes(store: Store, bases: list[str], limits: Limits) -> APIRouter:
    router = APIRouter(prefix="/fine_tuning/jobs")

    def found(owner: str, id: str) -> dict:
        job = store.one("jobs", id, owner=owner)
        if job is None:
            raise unknown_job(id)
        return job

    def moved(act, owner: str, id: str, refusal: str, code: str) -> dict:
        """The job after ``act``, which may find it in a status where that cannot be."""
        found(owner, id)
        if not act(store, id):
            message = f"{refusal}: {id} is {found(owner, id)['status']}."
            raise ApiError(400, message, param="fine_tune_id", code=code)
        return shown(found(owner, id))

    @router.post("")
    def create(owner: Owner, request: JobRequest) -> dict:
        if request.model not in bases:
            if store.one("models", request.model, owner=owner) is None:
                raise unknown_model(request.model)
            message = f"{request.model} is fine-tuned already; this service fine-tunes base models: {', '.join(bases)}"
            raise ApiError(400, message, param="model", code="model_not_available")
        if request.method and request.hyperparameters:
            message = "Give 'method' or the deprecated 'hyperparameters', not both."
            raise ApiError(400, message, param="hyperparameters", code="invalid_value")
        for param in ("training_file", "validation_file"):
            id = getattr(request, param)
            file = store.one("files", id, owner=owner) if id else None
            if id is not None and file is None:
                error = unknown_file(id)
                raise ApiError(400, error.message, param=param, code="file_not_found")
            if file and file["purpose"] != "fine-tune":
                message = f"{id} was uploaded with purpose '{file['purpose']}'; it must be 'fine-tune'."
                raise ApiError(400, message, param=param, code="invalid_file_purpose")
        limits.check_jobs(store, owner)
        limits.check_room(store, owner)
        return shown(jobs.create(store, owner, request))

    @router.get("")
    def list_jobs(
        owner: Owner, request: Request, limit: Annotated[int, Query(ge=1, le=100)] = 20, after: str | None = None
    ) -> dict:
        """``metadata[key]=value`` lists only jobs with that pair."""
        asked = {name[9:-1]: value for name, value in request.query_params.items() if re.fullmatch(r"metadata\[.*\]", name)}
        return page(store, "jobs", shown, after=after, limit=limit, metadata=asked, owner=owner)

    @router.get("/{id}")
    def retrieve(owner: Owner, id: str) -> dict:
        return shown(found(owner, id))

    @router.post("/{id}/cancel")
    def cancel(owner: Owner, id: str) -> dict:
        return moved(jobs.cancel, owner, id, "Job has already completed", "job_already_completed")

    @router.post("/{id}/pause")
    def pause(owner: Owner, id: str) -> dict:
        return moved(jobs.pause, owner, id, "Only a queued or running job can be paused", "job_not_pausable")

    @router.post("/{id}/resume")
    def resume(owner: Owner, id: str) -> dict:
        return moved(jobs.resume, owner, id, "Only a paused job can be resumed", "job_not_paused")

    @router.get("/{id}/events")
    def events(
        owner: Owner, id: str, limit: Annotated[int, Query(ge=1, le=1000)] = 20, after: str | None = None
    ) -> dict:
        found(owner, id)
        return page(store, "events", event, after=after, limit=limit, job=id)

    @router.get("/{id}/checkpoints")
    def checkpoints(
        owner: Owner, id: str, limit: Annotated[int, Query(ge=1, le=100)] = 10, after: str | None = None
    ) -> dict:
        found(owner, id)
        return page(store, "checkpoints", checkpoint, after=after, limit=limit, job=id)

    return router


def method(job: dict) -> dict:
    return {"type": job["method"], job["method"]: {"hyperparameters": job["hyperparameters"]}}


def shown(job: dict) -> dict:
    """The row as OpenAI's ``fine_tuning.job`` object."""
    return {
        "object": "fine_tuning.job",
        "id": job["id"],
        "model": job["model"],
        "created_at": job["created_at"],
        "finished_at": job["finished_at"],
        "fine_tuned_model": job["fine_tuned_model"],
        "organization_id": f"org-{jobs.organisation(job['owner'])}",
        "result_files": job["result_files"],
        "status": job["status"],
        "validation_file": job["validation_file"],
        "training_file": job["training_file"],
        "hyperparameters": {name: value for name, value in job["hyperparameters"].items() if name != "beta"},
        "method": method(job),
        "trained_tokens": job["trained_tokens"],
        "error": job["error"],
        "user_provided_suffix": job["suffix"],
        "seed": job["seed"],
        "estimated_finish": None,
        "integrations": [],
        "metadata": job["metadata"],
    }


def event(row: dict) -> dict:
    """The row as OpenAI's ``fine_tuning.job.event`` object."""
    return {
        "object": "fine_tuning.job.event",
        "id": row["id"],
        "created_at": row["created_at"],
        "level": row["level"],
        "message": row["message"],
        "data": row["data"],
        "type": row["type"],
    }


def checkpoint(row: dict) -> dict:
    """The row as OpenAI's ``fine_tuning.job.checkpoint`` object."""
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": row["id"],
        "created_at": row["created_at"],
        "fine_tuned_model_checkpoint": row["model"],
        "fine_tuning_job_id": row["job"],
        "metrics": row["metrics"],
        "step_number": row["step"],
    }
